"""Backends side by side."""

import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]
TOOL = '../projects/benchmark/measure_inference'


@pytest.fixture(autouse=True)
def beside_benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))  # as when the file is run


def test_every_backend_is_timed_and_refusals_are_told(run_tool):
    pytest.importorskip('monai', reason='MONAI is not installed: pip install monai')
    pytest.importorskip('openvino')
    swin = 'configs/retina3d/retina3d_swin_fpn_phantom.py'
    arguments = ('--only', 'phantom', swin, '--side', 32, '--repeat', 1, '--json', 'rows.json')
    assert run_tool(TOOL, *arguments) == 0
    rows = json.loads(Path('rows.json').read_text())['forward_passes']
    assert {'torch', 'openvino'} <= set(rows['phantom']['seconds'])
    assert all(value > 0 for value in rows['phantom']['seconds'].values())
    assert all(value > 100 for value in rows['phantom']['peak_mb'].values())
    assert rows['phantom']['refused'] == {} and rows['phantom']['side'] == 32
    assert set(rows[swin]['seconds']) == {'torch'} and 'openvino' in rows[swin]['refused']
    assert rows[swin]['peak_mb']['torch'] > 100
