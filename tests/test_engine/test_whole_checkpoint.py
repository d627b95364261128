"""Trainings that are stopped while they save a checkpoint."""

import errno

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


def train(work_dir, iters, hook='WholeCheckpointHook', validate=False, resume=False, **options):
    register_all_modules()
    data = DataLoader([dict(inputs=torch.zeros(1))] * iters)
    parts = dict(val_dataloader=data, val_cfg=dict(), val_evaluator=Evaluator([Better()]))
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


@pytest.mark.tried(
    'checkpoints',
    'the disk is full, or the training killed, while one is saved',
    'the one before, and the best, are whole; a training goes on from there',
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
