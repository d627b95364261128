"""The hook around semi-supervised steps, alone and in a runner."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmdet3d_medical.datasets import write_index
from mmdet3d_medical.engine import SemiSupervisedHook
from mmdet3d_medical.engine.hooks import MixUpOffHook
from mmdet3d_medical.models.dense_heads import DenseTargets
from mmdet3d_medical.models.semi import Guess
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.structures import VolumeGeometry

SHAPE = (16, 16, 16)
PATCH = VolumeGeometry((0.0,) * 3, (1.0,) * 3, (1, 0, 0, 0, 1, 0, 0, 0, 1), SHAPE)


class Model(torch.nn.Module):
    """What the hook needs of a model."""

    def __init__(self, weight=2.0, teacher=None):
        super().__init__()
        self.unsup = SimpleNamespace(weight=weight, divisor=3.0)
        self.teacher = teacher
        self.last_guess = None
        self.last_positives = dict(positives=6.0, unsup_positives=2.0)
        self.mixing = True
        self.updates = 0

    def follow(self):
        self.updates += 1

    def restart(self):
        self.updates = 0


def make_runner(model, iteration=0) -> SimpleNamespace:
    warnings = []
    return SimpleNamespace(
        model=model,
        iter=iteration,
        max_iters=100,
        message_hub=MessageHub('test'),
        optim_wrapper=SimpleNamespace(should_update=lambda: True),
        warnings=warnings,
        logger=SimpleNamespace(warning=warnings.append),
    )


def scalars(runner) -> dict:
    return {name: buffer.current() for name, buffer in runner.message_hub.log_scalars.items()}


def weights(hook, iterations) -> list:
    model = Model()
    runner = make_runner(model)
    hook.before_train(runner)
    seen = []
    for runner.iter in iterations:
        hook.before_train_iter(runner, runner.iter)
        seen.append(model.unsup.weight)
    hook.after_train(runner)
    assert model.unsup.weight == 2.0
    return seen


def test_ramps_by_hand():
    assert weights(SemiSupervisedHook(), [0, 5]) == [2, 2]
    linear = SemiSupervisedHook(rampup_iters=4, rampup_begin=2)
    assert weights(linear, [0, 1, 2, 3, 4, 6, 100]) == [0, 0, 0, 0.5, 1, 2, 2]
    sigmoid = SemiSupervisedHook(rampup_iters=4, rampup='sigmoid')
    expected = [2 * math.exp(-5), 2 * math.exp(-5 * 0.25), 2]
    assert weights(sigmoid, [0, 2, 4]) == pytest.approx(expected)
    assert weights(linear, [4]) == [1]  # a resumed training


def test_mixup_is_off_for_the_last_steps():
    hook, model = SemiSupervisedHook(mixup_off=0.2), Model()
    runner, seen = make_runner(model), []
    hook.before_train(runner)
    for runner.iter in (0, 79, 80, 99):
        hook.before_train_iter(runner, runner.iter)
        seen.append(model.mixing)
    hook.after_train(runner)
    assert seen == [True, True, False, False] and model.mixing
    for share in (1.5, -0.1):
        with pytest.raises(ValueError, match='share'):
            SemiSupervisedHook(mixup_off=share)


@pytest.mark.parametrize('first', [True, False])
def test_a_hook_that_leaves_mixup_on_does_not_undo_another(first):
    hooks = [MixUpOffHook(0.2), SemiSupervisedHook()]
    model = Model()
    runner = make_runner(model)
    runner.iter = 90
    for hook in hooks if first else hooks[::-1]:
        hook.before_train(runner)
        hook.before_train_iter(runner, runner.iter)
    assert not model.mixing


def guess_of(targets, metas=()) -> Guess:
    targets = torch.tensor(targets, dtype=torch.float32)[..., None]
    corner = 4.0 * torch.arange(targets.shape[1])[:, None]
    priors = torch.cat([corner.expand(-1, 3), corner.expand(-1, 3) + 4], 1)
    weight = torch.ones(targets.shape[:2])
    box = targets.new_zeros(*targets.shape[:2], 0)
    return Guess(DenseTargets(targets, weight, box, 0 * weight), priors, [], metas)


def test_mass_and_histogram_by_hand():
    hook, model = SemiSupervisedHook(interval=1), Model()
    model.last_guess = guess_of([[0.0, 0.005, 0.05, 0.3], [0.5, 0.9, 1.0, 0.0]])
    runner = make_runner(model)
    hook.after_train_iter(runner, 0)
    logged = scalars(runner)
    expected = {
        'train/unsup_weight': 2.0,
        'train/unsup_divisor': 3.0,
        'train/positives': 6.0,
        'train/unsup_positives': 2.0,
        'train/guess_mass': (0.005 + 0.05 + 0.3 + 0.5 + 0.9 + 1.0) / 2,
        'train/guess_above_half': 3 / 8,
        'train/guess_0-0.01': 3 / 8,
        'train/guess_0.01-0.1': 1 / 8,
        'train/guess_0.1-0.5': 1 / 8,
        'train/guess_0.5-0.9': 1 / 8,
        'train/guess_0.9-1': 2 / 8,
    }
    assert logged == pytest.approx(expected, abs=1e-6)


def test_ignored_guesses_are_not_counted():
    hook, model = SemiSupervisedHook(interval=1), Model()
    model.last_guess = guess_of([[1.0, 1.0, 0.0, 0.0]])
    model.last_guess.targets.cls_weight[0, 1] = 0
    runner = make_runner(model)
    hook.after_train_iter(runner, 0)
    logged = scalars(runner)
    assert logged['train/guess_mass'] == 1 and logged['train/guess_above_half'] == 1 / 4


def test_the_teacher_follows_steps_alone():
    """Not iterations that accumulate gradients."""
    hook, model = SemiSupervisedHook(), Model()
    runner = make_runner(model)
    for stepped in (False, False, True):
        runner.optim_wrapper.should_update = lambda stepped=stepped: stepped
        hook.after_train_iter(runner, 0)
    assert model.updates == 1


@pytest.fixture
def index(tmp_path):
    """A scan whose only lesion is the second of the priors (4 i ... 4 i + 4)."""
    lesion = dict(center=[5.5, 5.5, 5.5], diameter=4.0)
    scan = dict(
        scan_id='a',
        annotated=True,
        volume='volumes/a.npy',
        geometry=PATCH.to_dict(),
        instances=[lesion],
    )
    write_index(
        tmp_path / 'index.json', dict(classes=['nodule'], spacing=None, settings={}, scans=[scan])
    )
    return str(tmp_path / 'index.json')


def test_precision_and_recall_over_a_window(index):
    hook, model = SemiSupervisedHook(ann_file=index, interval=2, window=1), Model()
    runner = make_runner(model)
    hook.before_train(runner)
    metas = [dict(scan_id=scan_id, geometry=PATCH) for scan_id in 'ab']

    def look(targets):
        # Of scan b nothing is known, so nothing counts.
        model.last_guess = guess_of([targets, [1.0] * 4], metas)
        for runner.iter in (0, 1):  # every other iteration
            hook.after_train_iter(runner, runner.iter)

    look([0.9, 0.2, 0.0, 0.0])
    assert scalars(runner)['train/guess_recall'] == 0
    assert scalars(runner)['train/guess_precision'] == 0
    look([0.1, 0.5, 0.0, 0.8])
    assert scalars(runner)['train/guess_recall'] == 1 / 2
    assert scalars(runner)['train/guess_precision'] == 1 / 3
    for _ in range(10):  # the window is ten patches
        look([0.0, 1.0, 0.0, 0.0])
    assert scalars(runner)['train/guess_recall'] == scalars(runner)['train/guess_precision'] == 1


def test_nothing_is_divided_by_zero(index):
    hook, model = SemiSupervisedHook(ann_file=index, interval=1), Model()
    runner = make_runner(model)
    hook.before_train(runner)
    for scan_id in ('b', 'a'):
        meta = dict(scan_id=scan_id, geometry=PATCH.cropped((8, 8, 8), SHAPE))
        model.last_guess = guess_of([[0.0] * 4], [meta])
        hook.after_train_iter(runner, 0)
    assert 'train/guess_mass' in scalars(runner)
    assert not {'train/guess_recall', 'train/guess_precision'} & set(scalars(runner))


@pytest.mark.parametrize(
    'targets, message',
    [
        ([0.4, 0.0, 0.0, 0.0], 'In 6 iterations no prior'),
        ([0.5, 0.0, 0.0, 0.0], 'In 6 iterations 25.0% of all priors'),
    ],
)
def test_warnings(targets, message):
    hook, model = SemiSupervisedHook(interval=2, window=3, max_share=0.24), Model()
    model.last_guess, runner = guess_of([targets]), make_runner(model)
    for runner.iter in range(12):
        hook.after_train_iter(runner, runner.iter)
        assert len(runner.warnings) == (runner.iter + 1) // 6
    assert runner.warnings[0].startswith(message)


def test_no_warning_while_guesses_are_sound():
    hook, model = SemiSupervisedHook(interval=1, window=2, max_share=0.25), Model()
    runner = make_runner(model)
    for number in range(6):
        model.last_guess = guess_of([[0.9 * (number % 2), 0.0, 0.0, 0.0]])
        hook.after_train_iter(runner, number)
    assert runner.warnings == [] and len(scalars(runner)) == 11


def test_the_teacher_moves_in_every_iteration():
    hook = SemiSupervisedHook(interval=10)
    model = Model(teacher=torch.nn.Identity())
    for iteration in range(3):
        hook.after_train_iter(make_runner(model, iteration), iteration)
    assert model.updates == 3


def test_wrong_models_and_settings():
    with pytest.raises(TypeError, match='found Identity'):
        SemiSupervisedHook().before_train(make_runner(torch.nn.Identity()))
    with pytest.raises(ValueError, match='rampup'):
        SemiSupervisedHook(rampup='cosine')
    with pytest.raises(ValueError, match='interval'):
        SemiSupervisedHook(interval=0)


def collate(rows) -> dict:
    """As pseudo_collate of batches whose samples belong to two branches."""
    return {
        key: {
            name: [row[key] if name == row['branch'] else None for row in rows]
            for name in ('sup', 'unsup')
        }
        for key in ('inputs', 'data_samples')
    }


def train(tmp_path, name, items, cfg, index, max_iters, resume=False, load_from=None) -> Runner:
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    runner = Runner(
        model,
        str(tmp_path / name),
        experiment_name=f'{name}-{max_iters}-{resume}',
        train_dataloader=DataLoader(items * max_iters, batch_size=4, collate_fn=collate),
        custom_hooks=[SemiSupervisedHook(rampup_iters=4, ann_file=index, interval=1)],
        default_scope='mmdet3d_medical',
        resume=resume,
        randomness=dict(seed=0),
        load_from=load_from,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=max_iters),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=2, by_epoch=False)),
    )
    runner.train()
    return runner


@pytest.fixture
def items(make_sample, make_batch) -> list:
    """Two labeled and two unlabeled patches of a scan."""
    items = []
    for number, branch in enumerate(('sup', 'sup', 'unsup', 'unsup')):
        sample = make_sample([[3.0, 4, 5, 8, 9, 9]])
        sample.set_metainfo(dict(scan_id='a', geometry=PATCH, annotated=branch == 'sup'))
        volume = make_batch(1, SHAPE, seed=number)['inputs'][0]
        items.append(dict(inputs=volume, data_samples=sample, branch=branch))
    return items


def test_a_training_with_a_teacher_that_is_resumed(tmp_path, small_detector, items, index):
    cfg = dict(
        type='FocalMixDetector',
        detector=small_detector(),
        targets=dict(
            type='AnchorTargets',
            views=dict(num=2),
            steps=[dict(type='Sharpen', center=0.01)],
            score_thr=0.001,
        ),
        teacher=dict(type='EMATeacher', momentum=0.1),
        student=[dict(type='StrongNoise'), dict(type='StrongErasing')],
    )
    whole = train(tmp_path, 'whole', items, cfg, index, 4)
    train(tmp_path, 'parts', items, cfg, index, 2)
    resumed = train(tmp_path, 'parts', items, cfg, index, 4, resume=True)

    states = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    mine, theirs = whole.model.detector, whole.model.teacher.model
    pairs = list(zip(mine.parameters(), theirs.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in pairs if a.grad is not None and a.grad.any())
    logged = whole.message_hub.log_scalars
    assert logged['train/unsup_weight'].data[0].tolist() == [0, 0.25, 0.5, 0.75]
    for name in ('guess_mass', 'guess_above_half', 'guess_recall', 'unsup_loss_cls'):
        values = logged[f'train/{name}'].data[0]
        assert len(values) == 4 and np.isfinite(values).all()


def test_a_training_that_starts_from_another_restarts_the_teacher(
    tmp_path, small_detector, items, index
):
    cfg = dict(
        type='FocalMixDetector', detector=small_detector(), teacher=dict(type='FrozenTeacher')
    )
    first = train(tmp_path, 'first', items, cfg, index, 2)
    trained = dict(first.model.detector.state_dict())
    second = train(
        tmp_path, 'second', items, cfg, index, 2, load_from=str(tmp_path / 'first' / 'iter_2.pth')
    )
    assert second.model.step == 2
    torch.testing.assert_close(dict(second.model.teacher.model.state_dict()), trained)
    assert not torch.equal(
        second.model.detector.bbox_head.classify.weight, trained['bbox_head.classify.weight']
    )
