import json
from pathlib import Path

import pytest

TOOL = '../projects/benchmark/measure_storage'
ROOT = Path(__file__).parents[3]


def test_numbers_of_every_way(run_tool, data_root, capsys):
    pytest.importorskip('blosc2')
    config = ROOT / 'configs/retina3d/retina3d_fpn_phantom.py'
    options = '--scans 3 --sides 40 8 --crops 4 --patches 2 --rounds 2 --workers 0 --json out.json'
    ways = ('npy', 'blosc2', 'lz4-5-shuffle')
    asked = ('--config', config, '--ways', *ways, *options.split())
    assert run_tool(TOOL, data_root, *asked) == 0
    numbers = json.loads(Path('out.json').read_text())['numbers']
    assert tuple(numbers) == ways
    plain = sum(path.stat().st_size for path in sorted((data_root / 'volumes').glob('*.npy'))[:3])
    assert numbers['npy']['bytes'] == plain
    assert 0 < numbers['blosc2']['bytes'] < numbers['lz4-5-shuffle']['bytes'] < plain
    for row in numbers.values():
        assert set(row['crop_seconds']) == {'40', '8'}
        assert min(*row['crop_seconds'].values(), row['write_seconds']) > 0
    assert [len(row['patches_a_second']) for row in numbers.values()] == [2, 2, 0]
    assert 'A step of 8 patches' in capsys.readouterr().out


def test_a_config_of_several_data_sets_is_refused(run_tool, data_root, capsys):
    config = ROOT / 'configs/focalmix/retina3d_fpn_phantom.py'
    assert run_tool(TOOL, data_root, '--config', config) == 2
    assert 'give a supervised config' in capsys.readouterr().err
