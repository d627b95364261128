"""The command lines of the data tools, from the arguments to the exit code."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parents[2] / 'tools'


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a tool as ``python tools/<tool> <arguments>``: exit code, output, errors."""

    def run_tool(tool, *arguments):
        path = str(TOOLS / tool)
        monkeypatch.setattr(sys, 'argv', [path, *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(path, run_name='__main__')
        except SystemExit as stopped:
            code = stopped.code
        return code, *capsys.readouterr()

    return run_tool


@pytest.fixture
def convert(run, luna16_dir, tmp_path):
    """Convert ``luna16_dir`` to ``tmp_path / 'data'``."""
    return lambda *arguments: run(
        'dataset_converters/luna16.py',
        luna16_dir,
        '--out',
        tmp_path / 'data',
        '--workers',
        1,
        *arguments,
    )


def test_from_luna16_to_pictures(run, convert, tmp_path):
    out = tmp_path / 'data'
    code, printed, _ = convert('--spacing', 2, 1, 1)
    assert code == 0 and '4 scans, 4 lesions in 4 of them' in printed
    index = json.loads((out / 'index.json').read_text())
    assert index['spacing'] == [2.0, 1.0, 1.0] and len(index['scans']) == 4

    code, printed, _ = run('analysis_tools/check_dataset.py', out / 'index.json')
    assert code == 0 and '4 scans (4 annotated), 4 lesions: 0 errors, 4 warnings' in printed
    assert printed.count('one value only') == 4  # around the ball of each scan

    code, printed, _ = run(
        'dataset_converters/make_splits.py', out / 'index.json', '--labeled', 1, '--unlabeled', 1
    )
    assert code == 0 and 'labeled_1.txt: 1 scans' in printed
    labeled, unlabeled, train = (
        (out / 'splits' / f'{name}.txt').read_text().split()
        for name in ('labeled_1', 'unlabeled_1', 'train')
    )
    assert sorted(labeled + unlabeled) == train == ['straight', 'turned']

    config = tmp_path / 'config.py'
    config.write_text(f"""train_dataloader = dict(dataset=dict(
        type='LUNA16Dataset', data_root={str(out)!r}, split='splits/train.txt',
        pipeline=[dict(type='LoadVolume'), dict(type='RandomCrop3D', size=(16, 16, 16)),
                  dict(type='PackVolumeInputs')]))""")
    code, _, errors = run(
        'analysis_tools/browse_dataset.py',
        config,
        '--output-dir',
        tmp_path / 'pictures',
        '--number',
        3,
    )
    assert code == 0, errors
    assert sorted(path.name for path in (tmp_path / 'pictures').iterdir()) == [
        '0000_straight.png',
        '0001_turned.png',
        '0002_straight.png',
    ]


def test_broken_scan_gives_exit_code_1_and_is_listed(luna16_dir, convert):
    (luna16_dir / 'subset1/flipped.raw').unlink()
    code, printed, _ = convert()
    assert code == 1 and '1 scans FAILED' in printed and 'flipped.mhd' in printed
    assert '3 scans, 3 lesions' in printed


@pytest.mark.parametrize(
    'options, message',
    [
        (['--spacing', '1', '1'], 'spacing must be three positive mm'),
        (['--spacing', '1', '1', 'thin'], "three numbers Z Y X in mm or 'native', found 1 1 thin"),
    ],
)
def test_wrong_options_give_exit_code_2(convert, options, message):
    code, _, errors = convert(*options)
    assert code == 2 and message in errors


def test_volumes_without_annotations(run, luna16_dir, tmp_path):
    code, printed, _ = run(
        'dataset_converters/volumes.py',
        luna16_dir / 'subset0',
        '--annotations',
        'none',
        '--out',
        tmp_path / 'data',
        '--workers',
        1,
    )
    assert code == 0 and '2 scans, 0 lesions' in printed
    index = json.loads((tmp_path / 'data/index.json').read_text())
    assert [scan['annotated'] for scan in index['scans']] == [False, False]


def test_check_fails_on_errors_and_without_an_index(run, convert, tmp_path):
    convert()
    np.save(tmp_path / 'data/volumes/turned.npy', np.zeros((2, 2, 2), np.int16))
    code, printed, _ = run('analysis_tools/check_dataset.py', tmp_path / 'data/index.json')
    assert code == 1 and '1 errors' in printed and 'turned' in printed
    code, _, errors = run('analysis_tools/check_dataset.py', tmp_path / 'nowhere.json')
    assert code == 2 and 'no index at' in errors
    (tmp_path / 'broken.json').write_text('{"scans": [')
    code, _, errors = run('analysis_tools/check_dataset.py', tmp_path / 'broken.json')
    assert code == 2 and 'broken.json is not valid JSON' in errors


def test_browsing_what_is_missing(run, tmp_path):
    config = tmp_path / 'config.py'
    code, _, errors = run('analysis_tools/browse_dataset.py', config)
    assert code == 2 and f'There is no config {config}' in errors
    config.write_text("""train_dataloader = dict(dataset=dict(
        type='LUNA16Dataset', data_root='nowhere', pipeline=[dict(type='LoadVolume')]))""")
    code, _, errors = run(
        'analysis_tools/browse_dataset.py', config, '--output-dir', tmp_path / 'pictures'
    )
    assert code == 2 and 'no index at nowhere' in errors


def test_check_shows_ten_warnings_of_a_kind_and_all_errors(run, convert, tmp_path):
    convert()
    path = tmp_path / 'data/index.json'
    index = json.loads(path.read_text())
    scan = index['scans'][0]
    lesion = scan['instances'][0]
    scan['instances'] += [dict(lesion)] * 12 + [dict(lesion, center=[0, 0, k]) for k in range(12)]
    path.write_text(json.dumps(index))
    code, printed, _ = run('analysis_tools/check_dataset.py', path)
    assert code == 1 and printed.count('annotated twice') == 10 and '... and 2 more' in printed
    assert printed.count('outside the volume') == 12 and '12 errors' in printed


@pytest.mark.tried(
    'data set', 'a config for the data: check_dataset.py --config', 'told what does not fit'
)
def test_check_against_a_config(run, convert, tmp_path):
    convert()
    config = tmp_path / 'config.py'
    config.write_text("""model = dict(bbox_head=dict(
        num_classes=2, assigner=dict(type='ATSS3DAssigner'), anchor_generator=dict(
            type='Anchor3DGenerator', strides=[2], sizes=[[2]])))""")
    index = tmp_path / 'data/index.json'
    code, printed, _ = run('analysis_tools/check_dataset.py', index, '--config', config)
    said = ' '.join(printed.replace('│', ' ').split())
    assert code == 1 and 'num_classes=2, the data have 1: nodule' in said
    assert '4 of 4 lesions fit no anchor' in said
    code, _, errors = run('analysis_tools/check_dataset.py', index, '--config', 'none.py')
    assert code == 2 and 'There is no config none.py' in errors
