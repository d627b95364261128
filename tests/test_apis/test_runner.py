"""The console before the first step: a summary, warnings and errors."""

import logging
import sys
import time
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.visualization import Visualizer

from mmdet3d_medical.apis import ShortStartRunner
from mmdet3d_medical.apis.runner import _ShortStart
from mmdet3d_medical.apis.summary import summarize_training


@pytest.fixture
def runner(tmp_path, monkeypatch):
    """A runner of which only the logger is built."""
    runner = ShortStartRunner.__new__(ShortStartRunner)
    runner._experiment_name, runner._log_dir, runner._timestamp = (
        tmp_path.name,
        str(tmp_path),
        'now',
    )
    runner.logger = runner.build_logger()
    monkeypatch.setattr('mmdet3d_medical.apis.runner.summarize_training', lambda runner: 'SUMMARY')
    yield runner
    MMLogger._instance_dict.pop(tmp_path.name)


def test_console_shows_warnings_then_the_summary_then_all(runner, tmp_path, capsys):
    # The stream of the handler was taken before the output was captured.
    runner.logger.handlers[0].setStream(sys.stdout)
    runner.logger.info('LONG')
    runner.logger.warning('BEWARE')
    runner.logger.error('WRONG')
    _ShortStart().before_train(runner)
    runner.logger.info('STEP')
    words = ('LONG', 'BEWARE', 'WRONG', 'SUMMARY', 'STEP')
    console, file = capsys.readouterr().out, (tmp_path / 'now.log').read_text()
    assert [word in console for word in words] == [False, True, True, True, True]
    assert all(word in file for word in words)
    assert console.index('SUMMARY') < console.index('STEP')


def test_other_loggers_stay_as_they_are(runner):
    assert not logging.getLogger().filters
    assert sum(bool(handler.filters[1:]) for handler in runner.logger.handlers) == 1


def test_two_runs_within_a_second_share_nothing(tmp_path, monkeypatch):
    for kind in (MMLogger, MessageHub, Visualizer):
        monkeypatch.setattr(kind, '_instance_dict', OrderedDict())
    stopped = SimpleNamespace(**vars(time) | {'time': lambda: 0.0})
    monkeypatch.setattr('mmengine.runner.runner.time', stopped)
    first, second = (
        ShortStartRunner(model=torch.nn.Linear(1, 1), work_dir=str(tmp_path / name))
        for name in ('first', 'second')
    )
    for part in ('logger', 'message_hub', 'visualizer', 'timestamp'):
        assert getattr(first, part) is not getattr(second, part)
    second.message_hub.update_scalar('train/loss', 3.0)
    assert not first.message_hub.log_scalars
    second.logger.warning('of the second run')
    assert 'second run' in Path(second.logger.log_file).read_text()
    assert Path(second.logger.log_file).is_relative_to(tmp_path / 'second')


def fake_runner(cfg, **loaders):
    return SimpleNamespace(
        cfg=Config(cfg),
        work_dir='work',
        logger=SimpleNamespace(log_file='work/now.log'),
        model=SimpleNamespace(parameters=lambda: []),
        model_name='Detector',
        max_iters=7,
        iter=3,
        val_loop=None,
        **loaders,
    )


def test_summary_of_data_that_are_not_ours():
    cfg = dict(
        train_dataloader=dict(
            batch_size=6, sampler=dict(source_ratio=[1, 2]), dataset=dict(type='Other')
        )
    )
    text = summarize_training(fake_runner(cfg, train_dataloader=SimpleNamespace(dataset=[1, 2, 3])))
    assert '  data       3 samples of list\n' in text
    assert '  validation none\n' in text
    assert '  patch      whole scans\n' in text
    assert '  batch      2 + 4 unlabeled patches\n' in text
    assert '  steps      7, goes on after 3\n' in text
