"""Runs that are stopped while they save a checkpoint."""

import errno
import re
import shutil

import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmdet3d_medical.apis.checkpoint import last_checkpoint
from mmdet3d_medical.engine.hooks import whole_checkpoint
from mmdet3d_medical.utils import register_all_modules


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, mode='tensor'):
        return dict(loss=(self.weight - 1).square().sum()) if mode == 'loss' else [dict()]


class Better(BaseMetric):
    """A score that grows each time."""

    calls = 0

    def process(self, data_batch, data_samples):
        self.results.append(None)

    def compute_metrics(self, results):
        self.calls += 1
        return dict(score=self.calls)


def train(
    work_dir,
    iters,
    hook='WholeCheckpointHook',
    validate=False,
    resume=False,
    metric=Better,
    **options,
):
    register_all_modules()
    data = DataLoader([dict(inputs=torch.zeros(1))] * iters)
    parts = dict(val_dataloader=data, val_cfg=dict(), val_evaluator=Evaluator([metric()]))
    # What mmengine keeps by this name must not reach another training of the same second.
    name = f'{work_dir.parent.name}-{work_dir.name}-{resume}'
    runner = Runner(
        Model(),
        str(work_dir),
        data,
        train_cfg=dict(by_epoch=False, max_iters=iters, val_interval=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        resume=resume,
        default_hooks=dict(
            checkpoint=dict(type=hook, by_epoch=False, interval=1, **options), logger=None
        ),
        default_scope='mmdet3d_medical',
        experiment_name=name,
        **parts if validate else {},
    )
    runner.train()
    return runner


def saved(work_dir) -> set[str]:
    return {path.name for path in work_dir.iterdir() if path.is_file() and path.suffix != '.py'}


def weight(path) -> float:
    return torch.load(path, weights_only=False)['state_dict']['weight'].item()


def test_the_same_checkpoints_as_with_the_usual_hook(tmp_path):
    for hook in ('CheckpointHook', 'WholeCheckpointHook'):
        train(
            tmp_path / hook,
            4,
            hook,
            validate=True,
            max_keep_ckpts=2,
            save_best='score',
            rule='greater',
        )
    ours = tmp_path / 'WholeCheckpointHook'
    assert (
        saved(ours)
        == saved(tmp_path / 'CheckpointHook')
        == {'iter_3.pth', 'iter_4.pth', 'best_score_iter_4.pth', 'last_checkpoint'}
    )
    assert last_checkpoint(ours) == ours / 'iter_4.pth'
    assert weight(ours / 'iter_4.pth') == weight(tmp_path / 'CheckpointHook' / 'iter_4.pth')


class Late(Better):
    """Another score than the wanted one the first time."""

    def compute_metrics(self, results):
        score = super().compute_metrics(results)
        return dict(other=0) if score['score'] == 1 else score


class Nothing(Better):
    """No score at all, as CPM of scans without lesions."""

    def compute_metrics(self, results):
        return {}


@pytest.mark.tried(
    'checkpoints',
    'the best is to be kept, but a validation gives no score',
    'a warning; the training goes on',
)
@pytest.mark.parametrize(
    ('metric', 'by', 'best', 'told'),
    [
        (Late, 'score', {'best_score_iter_3.pth'}, 'by score: .*; it gave other'),
        (
            Better,
            ['score', 'cpm'],
            {'best_score_iter_3.pth'},
            'by cpm: the validation gave no such score, as without .*; it gave score',
        ),
        (Nothing, 'score', set(), 'save the best checkpoint will be skipped'),
        (Nothing, 'auto', set(), 'save the best checkpoint will be skipped'),
    ],
)
def test_a_validation_without_the_score_does_not_end_the_training(metric, by, best, told, tmp_path):
    train(tmp_path / 'work', 3, validate=True, metric=metric, save_best=by, rule='greater')
    names = {'iter_1.pth', 'iter_2.pth', 'iter_3.pth', 'last_checkpoint'}
    assert saved(tmp_path / 'work') == names | best
    logs = ''.join(path.read_text() for path in (tmp_path / 'work').glob('*/*.log'))
    assert re.search(told, logs)


@pytest.mark.tried(
    'checkpoints',
    'the disk is full, or the training killed, while one is saved',
    'the one before, and the best, are whole; a run goes on from there',
)
@pytest.mark.parametrize('spoilt', ['iter_3', 'best_score_iter_3'])
def test_a_checkpoint_that_cannot_be_saved_leaves_the_one_before(spoilt, tmp_path, monkeypatch):
    whole = train(tmp_path / 'whole', 4, max_keep_ckpts=1)
    write = whole_checkpoint.write_bytes

    def fill(path, content):
        if spoilt == path.rpartition('/')[2].removesuffix('.pth'):
            raise OSError(errno.ENOSPC, 'full', path)
        write(path, content)

    monkeypatch.setattr(whole_checkpoint, 'write_bytes', fill)
    work = tmp_path / 'work'
    with pytest.raises(OSError, match='full'):
        train(work, 4, validate=True, max_keep_ckpts=1, save_best='score', rule='greater')
    last = 'iter_2.pth' if spoilt == 'iter_3' else 'iter_3.pth'
    assert saved(work) == {last, 'best_score_iter_2.pth', 'last_checkpoint'}
    assert last_checkpoint(work) == work / last
    monkeypatch.undo()
    runner = train(work, 4, resume=True, max_keep_ckpts=1)
    assert runner.model.weight.item() == whole.model.weight.item()
    assert saved(work) == {'iter_4.pth', 'best_score_iter_2.pth', 'last_checkpoint'}


def test_a_note_that_was_cut_off_does_not_lose_the_checkpoints(tmp_path):
    train(tmp_path / 'work', 3)
    (tmp_path / 'work' / 'last_checkpoint').write_text('')
    assert last_checkpoint(tmp_path / 'work') == tmp_path / 'work' / 'iter_3.pth'


def poison(work, **info):
    """Let the last checkpoint say something else of the checkpoints there are."""
    path = last_checkpoint(work)
    content = torch.load(path, weights_only=False)
    content['message_hub']['runtime_info'].update(info)
    torch.save(content, path)


@pytest.mark.tried(
    'checkpoints',
    'one that names files elsewhere as its older or best checkpoints',
    'nothing outside of the work directory is removed',
)
def test_nothing_outside_is_removed(tmp_path):
    options = dict(validate=True, max_keep_ckpts=1, save_best='score', rule='greater')
    work, victim = tmp_path / 'work', tmp_path / 'victim'
    train(work, 2, **options)
    victim.mkdir()
    (victim / 'finished.pth').touch()
    (work / 'iter_x').mkdir()
    poison(
        work, keep_ckpt_ids=['x/../../victim/finished', 1, 2], best_score=0.5, best_ckpt=str(victim)
    )
    train(work, 4, resume=True, **options)
    assert (victim / 'finished.pth').is_file()
    assert (work / 'iter_4.pth').is_file()


def test_a_copy_of_a_work_directory_leaves_the_original_alone(tmp_path):
    options = dict(validate=True, save_best='score', rule='greater')
    work, copy = tmp_path / 'work', tmp_path / 'copy'
    train(work, 2, **options)
    before = saved(work)
    shutil.copytree(work, copy)
    (copy / 'last_checkpoint').write_text(str(copy / 'iter_2.pth'))
    poison(copy, best_score=0.5)
    train(copy, 4, resume=True, **options)
    assert saved(work) == before and 'best_score_iter_2.pth' in before
    assert {name for name in saved(copy) if name.startswith('best')} == {'best_score_iter_4.pth'}


def test_a_link_in_the_place_of_a_checkpoint_is_replaced(tmp_path):
    (tmp_path / 'precious.txt').write_text('mine')
    (tmp_path / 'work').mkdir()
    (tmp_path / 'work/iter_1.pth').symlink_to('../precious.txt')
    train(tmp_path / 'work', 1)
    assert (tmp_path / 'precious.txt').read_text() == 'mine'
    assert not (tmp_path / 'work/iter_1.pth').is_symlink()
