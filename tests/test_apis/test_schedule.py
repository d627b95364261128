"""Schedules and ramp-ups that follow the length of training."""

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS

from mmdet3d_medical.apis import load_config

MAX_ITERS = 'train_cfg.max_iters'


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'schedule.py'
    path.write_text("""
train_cfg = dict(max_iters=1000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=100, end=1000),
]
""")
    return str(path)


def spans(cfg):
    return [(scheduler.begin, scheduler.end) for scheduler in cfg.param_scheduler]


def rates(cfg) -> list[float]:
    """Learning rate of each iteration, by mmengine's own schedulers; 1 is the full rate."""
    optimizer = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0))
    schedulers = [
        PARAM_SCHEDULERS.build(dict(scheduler), default_args=dict(optimizer=optimizer))
        for scheduler in cfg.param_scheduler
    ]
    values = []
    for _ in range(cfg.train_cfg.max_iters):
        values.append(optimizer.get_lr()['lr'][0])
        optimizer.optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return values


def test_a_shorter_training_shortens_the_schedule(config):
    assert spans(load_config(config, options={MAX_ITERS: 200})) == [(0, 20), (20, 200)]


def test_an_unchanged_training_keeps_it(config):
    assert spans(load_config(config)) == [(0, 100), (100, 1000)]


def test_milestones_are_scaled(config):
    steps = [dict(type='MultiStepLR', by_epoch=False, gamma=0.1, milestones=[500, 800])]
    with open(config, 'a') as file:
        file.write(f'param_scheduler = {steps}')
    cfg = load_config(config, options={MAX_ITERS: 10})
    expected = [1.0] * 5 + [0.1] * 3 + [0.01] * 2
    assert rates(cfg) == pytest.approx(expected)


def test_a_schedule_of_the_command_line_is_taken_as_it_is(config):
    options = {MAX_ITERS: 2000, 'param_scheduler.1.end': 1500}
    assert spans(load_config(config, options=options)) == [(0, 200), (200, 1500)]


@pytest.fixture
def ramped(tmp_path):
    path = tmp_path / 'ramped.py'
    path.write_text("""
train_cfg = dict(max_iters=1000)
custom_hooks = [dict(type='SemiSupervisedHook', rampup_iters=400, rampup_begin=100, interval=10),
                dict(type='EmptyCacheHook')]
""")
    return str(path)


def ramp(cfg):
    hook = cfg.custom_hooks[0]
    return hook.rampup_begin, hook.rampup_iters, hook.interval


def test_ramp_ups_keep_their_share_of_the_training(ramped):
    assert ramp(load_config(ramped)) == (100, 400, 10)
    assert ramp(load_config(ramped, options={MAX_ITERS: 500})) == (50, 200, 10)
    assert ramp(load_config(ramped, options={MAX_ITERS: 3000})) == (300, 1200, 10)
    assert ramp(load_config(ramped, small=True)) == (2, 8, 10)
    options = {MAX_ITERS: 500, 'custom_hooks.0.rampup_iters': 7}
    assert ramp(load_config(ramped, options=options)) == (50, 7, 10)


@pytest.mark.parametrize('iters', [2, 4, 12, 20, 40, 300])
@pytest.mark.parametrize('small', [False, True])
def test_any_length_reaches_the_full_rate_and_ends_low(config, iters, small):
    values = rates(load_config(config, options={MAX_ITERS: iters}, small=small))
    assert len(values) == iters
    assert max(values) > 0.8
    assert values[-1] < max(values) / 1.5


def test_a_single_iteration_is_legal(config):
    assert len(rates(load_config(config, options={MAX_ITERS: 1}))) == 1
