import csv
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

TOOLS = Path(__file__).parents[2] / 'tools'
COLUMNS = [
    'seriesuid',
    *(f'coord{axis}' for axis in 'XYZ'),
    'probability',
    'diameter_mm',
    *(f'size{axis}' for axis in 'XYZ'),
]


def weights(checkpoint: Path) -> dict:
    return torch.load(checkpoint, weights_only=False)['state_dict']


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


def test_train_resume_and_test(config, run_tool, tmp_path, capfd):
    work_dir = tmp_path / 'run'
    assert run_tool('train', config, '--work-dir', work_dir, '--shrink', '--resume') == 0
    assert f'no checkpoint in {work_dir}, so training starts' in capfd.readouterr().out
    uninterrupted = weights(work_dir / 'iter_4.pth')

    # As a run that was killed after its first checkpoint, and moved since.
    moved = work_dir.rename(tmp_path / 'moved')
    (moved / 'iter_4.pth').unlink()
    (moved / 'last_checkpoint').write_text(str(work_dir / 'iter_2.pth'))
    assert run_tool('train', config, '--work-dir', moved, '--shrink', '--resume') == 0
    resumed = weights(moved / 'iter_4.pth')
    assert resumed.keys() == uninterrupted.keys()
    assert all(torch.equal(resumed[name], uninterrupted[name]) for name in resumed)

    marks = tmp_path / 'results' / 'marks.csv'
    assert (
        run_tool(
            'test',
            config,
            moved / 'iter_4.pth',
            '--shrink',
            '--out',
            marks,
            '--cfg-options',
            'model.test_cfg.score_thr=0',
        )
        == 0
    )
    rows = list(csv.DictReader(marks.open()))
    assert list(rows[0]) == COLUMNS
    assert {row['seriesuid'] for row in rows} == {'scan7', 'scan8', 'scan9'}


def test_predict_on_scans_without_lists(
    config, train_a_step, unannotated, run_tool, tmp_path, capfd
):
    """All ten scans of another index are tested, and only surer marks are written."""
    train_a_step(tmp_path / 'run')
    marks, more = tmp_path / 'marks.csv', ('--cfg-options', 'model.test_cfg.score_thr=0')
    args = ('test', config, tmp_path / 'run/iter_1.pth', '--shrink', '--data', unannotated)
    assert run_tool(*args, '--out', marks, *more) == 0
    rows = list(csv.DictReader(marks.open()))
    assert {row['seriesuid'] for row in rows} == {f'scan{number}' for number in range(10)}
    scores = sorted(float(row['probability']) for row in rows)
    lowest = scores[len(scores) // 2]
    assert run_tool(*args, '--out', marks, '--min-score', lowest, *more) == 0
    kept = [float(row['probability']) for row in csv.DictReader(marks.open())]
    assert sorted(kept) == [score for score in scores if score >= lowest]
    capfd.readouterr()
    assert run_tool(*args, '--min-score', 0.5) == 2
    assert '--min-score says which marks are written: give --out' in capfd.readouterr().err
    assert run_tool(*args[:-1], tmp_path) == 2
    assert f'--data {tmp_path}: expected the index.json' in capfd.readouterr().err


def test_the_first_step_comes_after_a_summary(config, data_root, run_tool, tmp_path, capfd):
    assert run_tool('train', config, '--work-dir', tmp_path / 'run', '--shrink') == 0
    printed = capfd.readouterr().out
    start = printed[: printed.index('Iter(train)')].splitlines()
    assert len(start) <= 20, 'lines before the first step'
    lines = {line[2:13].strip(): line[13:] for line in start if line.startswith('  ')}
    assert lines['config'] == str(config) and lines['work dir'] == str(tmp_path / 'run')
    assert lines['data'] == f'7 scans, 7 lesions ({data_root}/index.json)'
    # The test scans are three, of which one has no lesion; --shrink validates on the first.
    assert lines['validation'].startswith(f'1 scan, 1 lesion ({data_root}/index.json), at the end')
    assert '  ' + ' ' * 11 + 'indices=1 (--shrink: one scan); test takes all scans' in start
    assert lines['patch'] == '32 x 32 x 32 voxels (z, y, x)'
    assert lines['batch'] == '2 patches' and lines['steps'] == '4'
    log = Path(lines['full log']).read_text()
    assert 'System environment' in log and 'Hooks will be executed' in log and 'Iter(train)' in log
    assert 'Iter(val) [1/1]' in printed


def test_weights_of_another_width_are_refused(config, run_tool, tmp_path, capfd):
    options = ('--cfg-options', 'train_cfg.max_iters=1')
    work_dir = tmp_path / 'run'
    assert run_tool('train', config, '--work-dir', work_dir, '--shrink', *options) == 0
    for command in (
        ('test', config, work_dir / 'iter_1.pth'),
        ('train', config, '--work-dir', work_dir, '--resume'),
    ):
        capfd.readouterr()
        assert run_tool(*command) == 2
        error = capfd.readouterr().err
        assert error.startswith('error: The weights in')
        assert '--shrink' in error


def test_a_directory_of_another_kind_of_model_is_refused(config, run_tool, tmp_path, capfd):
    options = ('--work-dir', tmp_path / 'run', '--shrink', '--cfg-options', 'train_cfg.max_iters=1')
    assert run_tool('train', config, *options) == 0
    plain = weights(tmp_path / 'run' / 'iter_1.pth')
    around = tmp_path / 'focalmix' / config.name
    around.parent.mkdir()
    around.write_text(f"""
_base_ = {str(config)!r}
model = dict(_delete_=True, type='FocalMixDetector', detector=_base_.model)
""")
    for resume in ([], ['--resume']):
        capfd.readouterr()
        assert run_tool('train', around, *resume, *options) == 2
        error = capfd.readouterr().err
        assert 'iter_1.pth is of a DenseDetector3D' in error
        assert f'--work-dir {tmp_path / "run"}_FocalMixDetector' in error
    kept = weights(tmp_path / 'run' / 'iter_1.pth')
    assert all(torch.equal(kept[name], plain[name]) for name in plain)


@pytest.mark.parametrize('content', [b'', b'no weights', b'PK\x03\x04 cut off'])
def test_what_is_no_checkpoint_is_refused(content, config, run_tool, tmp_path, capfd):
    path = tmp_path / 'weights.pth'
    path.write_bytes(content)
    assert run_tool('test', config, path, '--shrink') == 2
    assert f'error: {path} is no checkpoint, or a damaged one' in capfd.readouterr().err


def test_work_dir_that_is_a_file_is_refused(config, run_tool, capfd):
    assert run_tool('train', config, '--shrink', '--work-dir', config) == 2
    error = capfd.readouterr().err
    assert error.startswith('error: ') and str(config) in error


def test_amp_and_seed(config, run_tool, tmp_path):
    options = ('--shrink', '--amp', '--cfg-options', 'train_cfg.max_iters=2')
    for seed, name in ((1, 'a'), (1, 'b'), (2, 'c')):
        assert (
            run_tool('train', config, '--work-dir', tmp_path / name, '--seed', seed, *options) == 0
        )
    first, same, other = (weights(tmp_path / name / 'iter_2.pth') for name in 'abc')
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)
    assert all(value.isfinite().all() for value in first.values())


def test_two_processes_from_another_folder(config, tmp_path):
    env = {
        **os.environ,
        'PORT': str(free_port()),
        'OMP_NUM_THREADS': '1',
        'CUDA_VISIBLE_DEVICES': '',
        'PATH': f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}',
    }
    process = subprocess.run(
        [
            TOOLS / 'dist_train.sh',
            config,
            '2',
            '--shrink',
            '--work-dir',
            'here',
            '--cfg-options',
            'train_cfg.max_iters=2',
        ],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert all(value.isfinite().all() for value in weights(tmp_path / 'here/iter_2.pth').values())


@pytest.mark.parametrize('script', ['dist_train', 'dist_test', 'slurm_train', 'slurm_test'])
def test_scripts_explain_themselves(script):
    process = subprocess.run([TOOLS / f'{script}.sh'], capture_output=True, text=True)
    assert process.returncode == 2
    assert 'CONFIG' in process.stderr


@pytest.mark.parametrize('tool', [('train',), ('test', 'weights.pth')])
def test_missing_config(tool, run_tool, capfd):
    name, *more = tool
    assert run_tool(name, 'configs/none.py', *more) == 2
    assert capfd.readouterr().err.startswith('error: There is no config configs/none.py')


def test_missing_checkpoint(config, run_tool, capfd):
    assert run_tool('test', config, 'weights.pth', '--shrink') == 2
    assert 'error: There is no checkpoint weights.pth' in capfd.readouterr().err


def test_missing_data(config, run_tool, capfd):
    assert (
        run_tool(
            'train',
            config,
            '--shrink',
            '--cfg-options',
            'train_dataloader.dataset.data_root=nowhere',
        )
        == 2
    )
    error = capfd.readouterr().err
    assert 'error: no index at nowhere/index.json' in error
    assert 'Traceback' not in error


def test_scans_nobody_annotated_get_marks_but_no_score(
    config, run_tool, unannotated, tmp_path, capfd
):
    # One iteration is enough for weights; what they find does not matter here.
    assert (
        run_tool(
            'train',
            config,
            '--work-dir',
            tmp_path / 'run',
            '--shrink',
            '--cfg-options',
            'train_cfg.max_iters=1',
        )
        == 0
    )
    marks = tmp_path / 'marks.csv'
    assert (
        run_tool(
            'test',
            config,
            tmp_path / 'run' / 'iter_1.pth',
            '--shrink',
            '--out',
            marks,
            '--cfg-options',
            f'test_dataloader.dataset.data_root={unannotated}',
            'model.test_cfg.score_thr=0',
        )
        == 0
    )
    output = ''.join(capfd.readouterr())
    assert 'FROC skipped' in output
    assert {row['seriesuid'] for row in csv.DictReader(marks.open())} == {'scan7', 'scan8', 'scan9'}


def test_averaged_weights_are_tested(config, run_tool, train_a_step, capfd):
    """EMAHook keeps weights of its own, which are those that count."""
    config.write_text(config.read_text() + "custom_hooks = [dict(type='EMAHook')]\n")
    train_a_step('work')
    assert 'ema_state_dict' in torch.load('work/iter_1.pth', weights_only=False)
    assert run_tool('test', config, 'work/iter_1.pth', '--shrink', '--out', 'marks.csv') == 0
    assert Path('marks.csv').is_file()


def test_other_data_than_those_of_the_training_are_told(
    config, train_a_step, unannotated, data_root, run_tool, tmp_path, capfd
):
    train_a_step(tmp_path / 'run')
    args = ('test', config, tmp_path / 'run/iter_1.pth', '--shrink', '--data')
    assert run_tool(*args, data_root) == 0
    assert 'warning' not in capfd.readouterr().err
    index = json.loads((unannotated / 'index.json').read_text())
    index['spacing'] = [4.0, 4.0, 4.0]
    (unannotated / 'index.json').write_text(json.dumps(index))
    assert run_tool(*args, unannotated) == 0
    told = [line for line in capfd.readouterr().err.splitlines() if line.startswith('warning: ')]
    assert told == [
        f'warning: {unannotated}/index.json: voxels have 4 x 4 x 4 mm (z, y, x), but the detector '
        'was trained on 2 x 2 x 2 mm: convert the data with --spacing 2 2 2'
    ]


def test_pictures_and_the_best_checkpoint_by_options_of_the_config(
    config, data_root, run_tool, tmp_path
):
    """Validation scans go to TensorBoard, test scans into a folder; CPM says which is best."""
    with config.open('a') as file:
        file.write("""
custom_hooks = [dict(type='VolumeVisualizationHook', number=2, score_thr=0.0)]
backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
visualizer = dict(type='VolumeVisualizer', vis_backends=backends)
train_cfg.update(max_iters=2, val_interval=1)
default_hooks['checkpoint'].update(save_best='froc/cpm', rule='greater')
""")
    work_dir = tmp_path / 'run'
    assert run_tool('train', config, '--work-dir', work_dir, '--shrink') == 0
    (log,) = (path.parent for path in work_dir.glob('*/vis_data'))
    pictures = {path.name for path in log.glob('vis_data/vis_image/*')}
    assert pictures == {'val_scan7_1.png', 'val_scan7_2.png'}  # --shrink validates on one scan
    assert list(log.glob('vis_data/events*'))
    scores = [json.loads(line) for line in (log / 'vis_data/scalars.json').open()]
    cpm = [row['froc/cpm'] for row in scores if 'froc/cpm' in row]
    best = 2 if cpm[1] > cpm[0] else 1
    assert [path.name for path in work_dir.glob('best_*')] == [f'best_froc_cpm_iter_{best}.pth']
    assert (
        run_tool(
            'test',
            config,
            work_dir / f'best_froc_cpm_iter_{best}.pth',
            '--shrink',
            '--work-dir',
            tmp_path / 'test',
        )
        == 0
    )
    written = {path.name for path in (tmp_path / 'test').glob('*/pictures/*')}
    assert written == {'scan7.png', 'scan8.png', 'scan9.png'}
