import pytest
import torch

TOOL = 'self_train'


@pytest.fixture
def sure(tmp_path, data_root):
    """A config with sure guesses around marks: one labeled scan and two unlabeled ones."""
    path = tmp_path / 'sure.py'
    source = f'data_root={str(data_root)!r}, split=None'
    path.write_text(f"""
_base_ = [
    'mmdet3d_medical::retina3d/retina3d_fpn_phantom.py',
    'mmdet3d_medical::_base_/methods/confident_pseudo_labels.py',
]
from mmdet3d_medical.apis.semi import semi_supervised

method = dict(
    _base_.method,
    targets=dict(type='AnchorTargets', steps=[dict(type='Threshold', value=0.001)]),
    detector=dict(test_cfg=dict(score_thr=0)),
)
semi = dict(
    patches=(4, 4),
    labeled=dict({source}, subsets=[0]),
    unlabeled=dict({source}, subsets=[3, 9]),
    candidates=dict(marks='none.csv', lesion_prob=0.7),
    hook=dict(type='SemiSupervisedHook', rampup_iters=600),
)
base = dict(_base_, method=method, semi=semi)
model, train_dataloader, custom_hooks = semi_supervised(base)
train_cfg = dict(max_iters=1)
default_hooks = dict(checkpoint=dict(interval=1))
""")
    return path


@pytest.fixture
def start(config, run_tool, tmp_path):
    work = tmp_path / 'start'
    assert (
        run_tool(
            'train',
            config,
            '--shrink',
            '--work-dir',
            work,
            '--cfg-options',
            'train_cfg.max_iters=1',
            'val_cfg=None',
            'val_dataloader=None',
            'val_evaluator=None',
            'default_hooks.checkpoint.interval=1',
        )
        == 0
    )
    return work / 'iter_1.pth'


def test_rounds_start_from_the_one_before(sure, start, run_tool, tmp_path, capfd):
    args = (sure, start, '--shrink', '--work-dir', tmp_path / 'work')
    assert run_tool(TOOL, *args, '--rounds', 1) == 0
    first, second = tmp_path / 'work' / 'round1', tmp_path / 'work' / 'round2'
    assert not second.exists()
    assert run_tool(TOOL, *args, '--rounds', 2) == 0  # goes on
    printed = capfd.readouterr().out
    assert [printed.count(f'round {number}: trains') for number in (1, 2)] == [1, 1]
    assert (
        f'-m mmdet3d_medical test {sure} {second / "iter_1.pth"}' in printed
        and '--shrink' in printed
    )
    for folder, detector in ((first, start), (second, first / 'iter_1.pth')):
        lines = (folder / 'candidates.csv').read_text().splitlines()[1:]
        assert {line.split(',')[0] for line in lines} == {'scan3', 'scan9'}
        assert str(detector) in (folder / 'test.log').read_text().splitlines()[0]
        command = (folder / 'train.log').read_text().splitlines()[0]
        assert f'load_from={detector}' in command
        assert f'datasets.unlabeled.pipeline.1.marks={folder / "candidates.csv"}' in command
    before = (second / 'iter_1.pth').stat().st_mtime_ns
    assert run_tool(TOOL, *args) == 0  # nothing is left to do
    assert (second / 'iter_1.pth').stat().st_mtime_ns == before


def test_what_cannot_be_trained_in_rounds(config, sure, start, run_tool, tmp_path, capfd):
    args = ('--shrink', '--work-dir', tmp_path / 'work')
    assert run_tool(TOOL, config, start, *args) == 2
    assert 'found it in 0' in capfd.readouterr().err
    assert run_tool(TOOL, sure, tmp_path / 'none.pth', *args) == 2
    assert 'There is no checkpoint' in capfd.readouterr().err
    (tmp_path / 'damaged.pth').write_text('no weights')
    assert run_tool(TOOL, sure, tmp_path / 'damaged.pth', *args) == 2
    error = capfd.readouterr().err
    assert 'damaged.pth' in error and 'same command again' in error
    comma = tmp_path / 'a,b'
    assert run_tool(TOOL, sure, start, '--shrink', '--work-dir', comma) == 2
    assert 'takes no commas' in capfd.readouterr().err


def test_another_start_is_refused_once_its_marks_are_used(sure, start, run_tool, tmp_path, capfd):
    args = ('--shrink', '--work-dir', tmp_path / 'work', '--rounds', 1)
    (tmp_path / 'damaged.pth').write_text('no weights')
    assert run_tool(TOOL, sure, tmp_path / 'damaged.pth', *args) == 2
    assert run_tool(TOOL, sure, start, *args) == 0  # nothing had been done
    capfd.readouterr()
    weights = torch.load(start, weights_only=False)
    torch.save(weights | dict(meta={}), start)  # trained anew
    assert run_tool(TOOL, sure, start, *args) == 2
    assert 'is of another self-training: start' in capfd.readouterr().err


def test_a_training_that_leaves_no_checkpoint(sure, start, run_tool, tmp_path, capfd):
    assert (
        run_tool(
            TOOL,
            sure,
            start,
            '--shrink',
            '--work-dir',
            tmp_path / 'work',
            '--cfg-options',
            'default_hooks.checkpoint.interval=5',
            'default_hooks.checkpoint.save_last=False',
        )
        == 2
    )
    assert 'left no last checkpoint' in capfd.readouterr().err


def test_two_processes_on_scans_that_nobody_annotated(sure, start, unannotated, run_tool, tmp_path):
    first = tmp_path / 'work/round1'
    option = f'train_dataloader.dataset.datasets.unlabeled.data_root={unannotated}'
    assert (
        run_tool(
            TOOL,
            sure,
            start,
            '--shrink',
            '--work-dir',
            first.parent,
            '--rounds',
            1,
            '--processes',
            2,
            '--cfg-options',
            option,
        )
        == 0
    )
    for name in ('test', 'train'):
        command = (first / f'{name}.log').read_text().splitlines()[0]
        assert str(unannotated) in command and 'nproc' in command
    lines = (first / 'candidates.csv').read_text().splitlines()[1:]
    assert {line.split(',')[0] for line in lines} == {'scan3', 'scan9'}
    assert (first / 'iter_1.pth').is_file()


def test_a_checkpoint_that_would_run_code_ends_the_first_round(sure, run_tool, tmp_path, capfd):
    class Touch:
        def __reduce__(self):
            return type(tmp_path).touch, (tmp_path / 'code_ran',)

    torch.save(dict(state_dict={}, more=Touch()), tmp_path / 'malicious.pth')
    assert run_tool(TOOL, sure, tmp_path / 'malicious.pth', '--shrink', '--work-dir', 'work') == 2
    assert 'malicious.pth holds more than weights' in capfd.readouterr().err
    assert not (tmp_path / 'code_ran').exists()
