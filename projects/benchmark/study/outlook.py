"""How far runs are and how long the rest will take, from their logs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from mmdet3d_medical.utils.processes import tail

from .runs import Bench
from .table import Run

STEP = re.compile(r'Iter\(train\) *\[ *(\d+)/\d+\].*? time: ([0-9.]+)')


class Outlook:
    """Steps done of those that are planned, and the time that is left for training.

    The time of a step is taken from the logs: of runs of the same row, or the mean of all others.

    Args:
        bench: Where the runs are.
        runs: What is planned.
        workers: Runs at once.

    Attributes:
        total: Steps of all runs.
        done: Steps done, as of the latest look.
        left: Time that is left in words, '' while nothing is known.
    """

    def __init__(self, bench: Bench, runs: Sequence[Run], workers: int) -> None:
        self.bench = bench
        self.workers = workers
        self.steps = {run.name: bench.steps(run) for run in runs}
        self.seconds: dict[str, float] = {}  # of a step, by row
        self.total = sum(self.steps.values())
        self.done = 0
        self.left = ''

    def look(self, active: Sequence[Run], waiting: Sequence[Run]) -> None:
        """Look at the logs of active runs.

        Args:
            active: Runs in progress.
            waiting: Runs that are not begun.
        """
        remaining = [(run.row, self.steps[run.name]) for run in waiting]
        for run in active:
            done, seconds = last_step(self.bench.log(run, 'train'))
            remaining.append((run.row, max(self.steps[run.name] - done, 0)))
            if seconds:
                self.seconds[run.row] = seconds
        self.done = self.total - sum(steps for _, steps in remaining)
        if self.seconds:
            usual = fmean(self.seconds.values())
            work = [steps * self.seconds.get(row, usual) for row, steps in remaining]
            self.left = in_words(max([sum(work) / self.workers, *work]))


def last_step(log: Path) -> tuple[int, float]:
    """Steps of training that the end of a log tells of, and seconds a step; zeros for none."""
    found = STEP.findall(tail(log))
    return (int(found[-1][0]), float(found[-1][1])) if found else (0, 0.0)


def in_words(seconds: float) -> str:
    """A time to come."""
    minutes = round(seconds / 60)
    return f'{minutes // 60} h {minutes % 60} min left' if minutes >= 60 else f'{minutes} min left'
