"""MONAI's detector and ours side by side."""

import json
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / 'tools' / 'analysis_tools'
TOOL = 'analysis_tools/benchmark_monai'


@pytest.fixture(autouse=True)
def beside_benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))  # as when the file is run


def test_both_train_and_detect(run_tool):
    pytest.importorskip('monai', reason='MONAI is not installed: pip install monai')
    assert run_tool(TOOL, '--side', 16, '--repeat', 1, '--json', 'rows.json') == 0
    rows = json.loads(Path('rows.json').read_text())
    assert set(rows) == {'training step', 'inference'}
    for row in rows.values():
        ours, theirs = row['seconds']
        assert 0 < ours < 2 * theirs  # with room for other work on the machine
    assert rows['inference']['seconds'][0] < rows['training step']['seconds'][0]


def test_sides_that_no_level_fits_are_refused(run_tool, capfd):
    assert run_tool(TOOL, '--side', 24) == 2
    assert '--side must be a multiple of 16' in capfd.readouterr().err
