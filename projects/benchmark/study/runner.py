"""Running what is missing, on several processes, so that it can be stopped at any moment."""

from __future__ import annotations

import math
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.processes import STEPS_LOCK, BusyError, launch, lock_folder, tail

from .commands import candidates_command, test_command, train_command
from .outlook import Outlook
from .runs import Bench
from .table import Run

POLL_SECONDS = 1.0
DIVERGED = 'is not finite in iteration'  # what NonFiniteLossHook says
THREADS = dict(OMP_NUM_THREADS='1', MKL_NUM_THREADS='1')
Steps = Iterator[tuple[Path, subprocess.Popen]]


@dataclass
class Job:
    """A run in progress.

    Attributes:
        run: Which.
        steps: The logs and processes it takes, each started when the one before has ended.
        log: Of the present process.
        process: The present one.
    """

    run: Run
    steps: Steps
    log: Path
    process: subprocess.Popen


class Runner:
    """Runs what is planned, several at once.

    A run that was interrupted goes on from its last checkpoint. Its folder is locked as long as a
    process works there, be it one that outlived its runner, so any number of runners may share
    folders. A run that diverges is recorded as failed; other errors leave a run for later.

    Args:
        bench: Where.
        runs: Of :meth:`Bench.plan`.
        workers: Processes at once, with one thread each.
        until: When to stop, by ``time.monotonic``; None: when all is done.

    Attributes:
        errors: Messages by the names of runs that ended with an error.
        left: Names of runs that were stopped, or not begun, when time was up.
    """

    def __init__(
        self,
        bench: Bench,
        runs: Sequence[Run],
        workers: int,
        until: float | None = None,
    ) -> None:
        self.bench = bench
        self.workers = workers
        self.until = math.inf if until is None else until
        self.left: list[str] = []
        self.waiting = list(runs)
        self.jobs: list[Job] = []
        self.errors: dict[str, str] = {}
        self.outlook = Outlook(bench, runs, workers)
        self.progress = Progress(
            TextColumn('{task.description}'),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn('{task.fields[left]}'),
        )

    def run(self) -> None:
        """Return when nothing is left to do, or time is up; stop all processes first."""
        with self.progress:
            bar = self.progress.add_task('training', total=self.outlook.total, left='')
            try:
                while (self.waiting or self.jobs) and time.monotonic() < self.until:
                    self._start_waiting()
                    time.sleep(POLL_SECONDS)
                    self.jobs = [job for job in self.jobs if self._goes_on(job)]
                    self.outlook.look([job.run for job in self.jobs], self.waiting)
                    self.progress.update(bar, completed=self.outlook.done, left=self.outlook.left)
            finally:
                self.left = [run.name for run in (*(job.run for job in self.jobs), *self.waiting)]
                self._stop()

    def _start_waiting(self) -> None:
        for run in list(self.waiting):
            unfinished = {other.name for other in self.waiting}
            unfinished |= {job.run.name for job in self.jobs}
            ready = not any(needed.name in unfinished for needed in run.needed)
            if len(self.jobs) < self.workers and ready:
                self._start(run)

    def _start(self, run: Run) -> None:
        steps = _steps(self.bench, run)
        try:
            step = next(steps, None)
        except BusyError:
            return  # it goes on waiting
        except (UsageError, ValueError) as error:
            step = None
            self._fail(run, str(error))
        self.waiting.remove(run)
        if step is not None:
            self.jobs.append(Job(run, steps, *step))
            self._say(run, 'begins, or goes on')

    def _goes_on(self, job: Job) -> bool:
        """Whether there is more to do of a job; starts that where a process has ended."""
        code = job.process.poll()
        if code is None:
            return True
        if code:
            job.steps.close()
            self._look_into(job)
            return False
        step = next(job.steps, None)
        if step is None:
            self._say(job.run, self.bench.summary(job.run))
            return False
        job.log, job.process = step
        return True

    def _look_into(self, job: Job) -> None:
        """An error: a run that diverged, or something to put right."""
        printed = tail(job.log).rpartition('\n$ ')[2]  # since the process began
        reasons = [line for line in printed.splitlines() if DIVERGED in line]
        if reasons and job.log == self.bench.log(job.run, 'train'):
            self.bench.record_failure(job.run, reasons[-1])
            self._say(job.run, self.bench.summary(job.run))
        else:
            self._fail(job.run, f'exit status {job.process.returncode}, see {job.log}')

    def _fail(self, run: Run, message: str) -> None:
        self.errors[run.name] = message
        self._say(run, f'ERROR: {message}')

    def _say(self, run: Run, text: str) -> None:
        left = self.outlook.left
        self.progress.console.print(
            f'{run.name}: {text}{left and f" ({left})"}',
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def _stop(self) -> None:
        for job in self.jobs:
            job.process.terminate()
        for job in self.jobs:
            job.process.wait()
            job.steps.close()


def _steps(bench: Bench, run: Run) -> Steps:
    """Train, test, record: what is done already is left out."""
    env = {**os.environ, **THREADS}
    with lock_folder(bench.folder(run), STEPS_LOCK) as lock:
        bench.claim(run)
        if bench.checkpoint(run) is None:
            for needed in run.needed:
                if bench.checkpoint(needed) is None:
                    raise UsageError(f'{needed.name}, which it needs, is not trained')
            if bench.lacks_candidates(run):
                yield from _find_candidates(bench, run.start, env)
            log = bench.log(run, 'train')
            yield log, launch(train_command(bench, run), log, lock, env)
        if bench.results.find(run) is None:
            log = bench.log(run, 'test')
            yield log, launch(test_command(bench, run), log, lock, env)
            bench.record(run)


def _find_candidates(bench: Bench, run: Run, env: Mapping[str, str]) -> Steps:
    with lock_folder(bench.folder(run), STEPS_LOCK) as lock:
        log = bench.log(run, 'candidates')
        yield log, launch(candidates_command(bench, run), log, lock, env)
        bench.new_candidates(run).replace(bench.candidates(run))
