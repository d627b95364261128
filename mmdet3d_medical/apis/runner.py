"""A runner that keeps its console short until the work begins, and its log apart from others.

mmengine logs the environment, the whole config and all hooks first, 360 lines. They stay in the log
file; the console gets a summary.
"""

from __future__ import annotations

import logging
from collections import Counter

from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from .summary import summarize_test, summarize_training

RUNS = Counter()
"""How many runs this process started in each second."""


class Quiet(logging.Filter):
    """Lets warnings and errors pass, and the rest when it is lifted."""

    lifted = False

    def filter(self, record: logging.LogRecord) -> bool:
        return self.lifted or record.levelno >= logging.WARNING


class ShortStartRunner(Runner):
    """mmengine's runner, whose console shows a summary in the place of what it logs at first.

    Warnings and errors are shown at any time, and the log file holds everything. Arguments are
    those of ``mmengine.runner.Runner``.
    """

    def setup_env(self, env_cfg: dict) -> None:
        super().setup_env(env_cfg)
        # mmengine finds the logger, the logged values and the folder of a run by the second of its
        # start, so a second run within it would write into the first one's.
        RUNS[self._timestamp] += 1
        if (run := RUNS[self._timestamp]) > 1:
            self._timestamp += f'_{run}'

    def build_logger(self, *args, **kwargs) -> MMLogger:
        self.quiet = Quiet()
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(self.quiet)
        return logger

    def register_hooks(self, *args, **kwargs) -> None:
        super().register_hooks(*args, **kwargs)
        self.register_hook(_ShortStart(), 'LOWEST')  # what other hooks log first is in the file


class _ShortStart(Hook):
    def before_train(self, runner: ShortStartRunner) -> None:
        runner.quiet.lifted = True
        runner.logger.info(summarize_training(runner))

    def before_test(self, runner: ShortStartRunner) -> None:
        runner.quiet.lifted = True
        runner.logger.info(summarize_test(runner))
