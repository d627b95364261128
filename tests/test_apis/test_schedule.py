"""Schedules that follow the length of training."""

import pytest

from mmdet3d_medical.apis import load_config


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'schedule.py'
    path.write_text("""
train_cfg = dict(max_iters=1000)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=100),
    dict(type='CosineAnnealingLR', begin=100, end=1000),
]
""")
    return str(path)


def spans(cfg):
    return [(scheduler.begin, scheduler.end) for scheduler in cfg.param_scheduler]


def test_a_shorter_training_shortens_the_schedule(config):
    cfg = load_config(config, options={'train_cfg.max_iters': 200})
    assert spans(cfg) == [(0, 20), (20, 200)]


def test_an_unchanged_training_keeps_it(config):
    assert spans(load_config(config)) == [(0, 100), (100, 1000)]


def test_a_schedule_of_the_command_line_is_measured_in_the_planned_training(config):
    options = {'train_cfg.max_iters': 2000, 'param_scheduler.0.end': 50}
    assert spans(load_config(config, options=options)) == [(0, 100), (200, 2000)]
