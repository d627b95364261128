import json
from pathlib import Path

import pytest
import torch

TOOL = '../projects/benchmark/measure_cost'
CONFIGS = Path(__file__).parents[3] / 'configs'


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)


@pytest.mark.parametrize('semi', [(), ('phantom', 'focalmix')], ids=['supervised', 'focalmix'])
@pytest.mark.parametrize('name', ['retina3d/retina3d_fpn', 'deeplung/deeplung_dpn26'])
def test_a_step_of_the_config(run_tool, name, semi):
    """Of the smallest patches, with and without guesses and locations."""
    code = run_tool(
        TOOL,
        CONFIGS / f'{name}_phantom.py',
        '--steps',
        1,
        '--batch',
        1,
        1,
        '--patch',
        16,
        16,
        16,
        '--json',
        'cost.json',
        *['--semi'] * bool(semi),
        *semi,
    )
    assert code == 0
    numbers = json.loads(Path('cost.json').read_text())
    assert numbers['device'] == 'cpu' and numbers['float32']['seconds'] > 0
    assert numbers['float32']['tensor_bytes'] is None and 'amp' not in numbers


def test_a_batch_of_nothing_is_refused(run_tool, capsys):
    config = CONFIGS / 'retina3d/retina3d_fpn_phantom.py'
    assert run_tool(TOOL, config, '--batch', 0, 0) == 2
    assert '--batch 0 0' in capsys.readouterr().err
