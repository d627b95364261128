"""Running what is missing, on several processes, so that it can be stopped at any moment."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from mmdet3d_medical.utils.processes import BusyError, launch, lock_folder, tail

from .commands import candidates_command, test_command, train_command
from .outlook import Outlook
from .runs import Bench
from .table import Run

POLL_SECONDS = 1.0
DIVERGED = 'is not finite in iteration'  # what NonFiniteLossHook says
THREADS = dict(OMP_NUM_THREADS='1', MKL_NUM_THREADS='1')


@dataclass
class Job:
    """A run in progress.

    Attributes:
        run: Which.
        steps: The processes it takes, each started when the one before has ended.
        process: The present one.
    """

    run: Run
    steps: Iterator[subprocess.Popen]
    process: subprocess.Popen


class Runner:
    """Runs what is planned, several at once.

    A run that was interrupted goes on from its last checkpoint. Its folder is locked as long as a
    process works there, be it one that outlived its runner, so any number of runners may share
    folders. A training that diverges is recorded as failed; other errors leave a run for later.

    Args:
        bench: Where.
        runs: Of :meth:`Bench.plan`.
        workers: Processes at once, with one thread each.

    Attributes:
        errors: Messages by the names of runs that ended with an error.
    """

    def __init__(self, bench: Bench, runs: Sequence[Run], workers: int) -> None:
        self.bench = bench
        self.workers = workers
        self.waiting = list(runs)
        self.jobs: list[Job] = []
        self.errors: dict[str, str] = {}
        self.outlook = Outlook(bench, runs, workers)
        self.progress = Progress(TextColumn('{task.description}'), BarColumn(),
                                 TaskProgressColumn(), TextColumn('{task.fields[left]}'))

    def run(self) -> None:
        """Return when nothing is left to do; on any exception stop all processes first."""
        with self.progress:
            bar = self.progress.add_task('training', total=self.outlook.total, left='')
            try:
                while self.waiting or self.jobs:
                    self._start_waiting()
                    time.sleep(POLL_SECONDS)
                    self.jobs = [job for job in self.jobs if self._goes_on(job)]
                    self.outlook.look([job.run for job in self.jobs], self.waiting)
                    self.progress.update(bar, completed=self.outlook.done, left=self.outlook.left)
            finally:
                self._stop()

    def _start_waiting(self) -> None:
        for run in list(self.waiting):
            unfinished = {other.name for other in self.waiting}
            unfinished |= {job.run.name for job in self.jobs}
            if len(self.jobs) < self.workers and not (run.start and run.start.name in unfinished):
                self._start(run)

    def _start(self, run: Run) -> None:
        steps = _steps(self.bench, run)
        try:
            process = next(steps, None)
        except BusyError:
            return  # it goes on waiting
        except ValueError as error:
            process = None
            self._fail(run, str(error))
        self.waiting.remove(run)
        if process is not None:
            self.jobs.append(Job(run, steps, process))
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
        process = next(job.steps, None)
        if process is None:
            self._say(job.run, self.bench.summary(job.run))
            return False
        job.process = process
        return True

    def _look_into(self, job: Job) -> None:
        """An error: a training that diverged, or something to put right."""
        log = self.bench.log(job.run, 'train')
        reasons = [line for line in tail(log).splitlines() if DIVERGED in line]
        if reasons:
            self.bench.record_failure(job.run, reasons[-1])
            self._say(job.run, self.bench.summary(job.run))
        else:
            self._fail(job.run, f'exit status {job.process.returncode}, see {log.parent}/*.log')

    def _fail(self, run: Run, message: str) -> None:
        self.errors[run.name] = message
        self._say(run, f'ERROR: {message}')

    def _say(self, run: Run, text: str) -> None:
        left = self.outlook.left
        self.progress.console.print(f'{run.name}: {text}{left and f" ({left})"}', markup=False,
                                    highlight=False, soft_wrap=True)

    def _stop(self) -> None:
        for job in self.jobs:
            job.process.terminate()
        for job in self.jobs:
            job.process.wait()
            job.steps.close()


def _steps(bench: Bench, run: Run) -> Iterator[subprocess.Popen]:
    """Train, test, record: what is done already is left out."""
    env = {**os.environ, **THREADS}
    with lock_folder(bench.folder(run)) as lock:
        bench.claim(run)
        if bench.checkpoint(run) is None:
            if run.start and bench.checkpoint(run.start) is None:
                raise ValueError(f'{run.start.name}, from which it starts, is not trained')
            if bench.lacks_candidates(run):
                yield from _find_candidates(bench, run.start, env)
            yield launch(train_command(bench, run), bench.log(run, 'train'), lock, env)
        if not bench.result(run).is_file():
            yield launch(test_command(bench, run), bench.log(run, 'test'), lock, env)
            bench.record(run)


def _find_candidates(
    bench: Bench, run: Run, env: Mapping[str, str]
) -> Iterator[subprocess.Popen]:
    with lock_folder(bench.folder(run)) as lock:
        yield launch(candidates_command(bench, run), bench.log(run, 'candidates'), lock, env)
        bench.new_candidates(run).replace(bench.candidates(run))
