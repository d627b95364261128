"""A runner that keeps its console short until the work begins.

mmengine logs the environment, the whole config and all hooks first, 360 lines. They stay in the log
file; the console gets a summary.
"""

from __future__ import annotations

import logging

from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from .summary import summarize_test, summarize_training


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
