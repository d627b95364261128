"""Jobs of a SLURM cluster, by submitit."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from mmdet3d_medical.utils.errors import UsageError

if TYPE_CHECKING:
    from submitit import AutoExecutor, Job

POLL = 5.0  # seconds between two looks at the jobs
GRACE = 12  # looks at a job that has ended until its result is given up: file systems are slow
ARRAY = 1000  # jobs in an array; SLURM's own limit is 1001 unless an administrator changed it
SHARED = {'timeout_min', 'cpus_per_task', 'mem_gb', 'gpus_per_node'}  # that all clusters know


@dataclass(frozen=True)
class SlurmJobs:
    """A :class:`.each.Cluster` of SLURM; a group of items is a job.

    Attributes:
        out: Folder that all machines share. A folder in it holds what is sent to jobs, with their
            logs. It is removed at the end, except for logs of lost jobs.
        group: Items in a job.
        options: Of submitit, ``slurm_partition`` and the like.
        cluster: ``'slurm'``, or ``'local'`` for jobs that are processes of this machine.
    """

    out: Path
    group: int
    options: Mapping[str, Any] = field(default_factory=dict)
    cluster: str = 'slurm'
    attempts: int = 3

    @contextmanager
    def open(self) -> Iterator[Executor]:
        """Make a folder for jobs and watch it."""
        import submitit

        self.out.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix='.slurm-', dir=self.out)).resolve()
        submitter = submitit.AutoExecutor(folder, self.cluster)
        submitter.update_parameters(name='mmdet3d-medical', **self.options)
        executor = JobExecutor(submitter)
        try:
            yield executor
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise
        finally:
            executor.shutdown()
            _tidy(folder, executor.lost)


class JobExecutor(Executor):
    """Tasks become jobs: all that come between two looks at the jobs are one array.

    Args:
        submitter: Of submitit.

    Attributes:
        lost: Whether a job ended without a result.
    """

    def __init__(self, submitter: AutoExecutor) -> None:
        self.lost = False
        self._submitter = submitter
        self._new: SimpleQueue[tuple[Future, Callable]] = SimpleQueue()
        self._jobs: dict[Job, Future] = {}
        self._looks: dict[Job, int] = {}
        self._closed, self._cancelled = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def submit(self, function: Callable, /, *args, **kwargs) -> Future:
        """A task for a job. The future raises ``RuntimeError`` if the job ends without a result.

        It raises ``UsageError`` if the cluster refuses the job.
        """
        future: Future = Future()
        self._new.put((future, partial(function, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for all jobs, whatever ``wait`` says, or cancel them."""
        if cancel_futures:
            self._cancelled.set()
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._cancelled.is_set():
            if self._closed.is_set() and not self._jobs and self._new.empty():
                return
            (self._cancelled if self._closed.is_set() else self._closed).wait(POLL)
            self._send()
            for job, future in [*self._jobs.items()]:
                if self._settle(job, future):
                    del self._jobs[job]
        for job, future in self._jobs.items():
            job.cancel(check=False)
            future.cancel()

    def _send(self) -> None:
        """Submit what is new."""
        while not self._new.empty():
            new = [self._new.get() for _ in range(min(self._new.qsize(), ARRAY))]
            futures, tasks = zip(*new, strict=True)
            try:
                self._jobs.update(zip(self._submitter.submit_array(tasks), futures, strict=True))
            except Exception as error:  # of the command sbatch, or of writing
                refused = UsageError(f'jobs cannot be submitted, see --slurm-options: {error}')
                for future in futures:
                    future.set_exception(refused)

    def _settle(self, job: Job, future: Future) -> bool:
        """Give the result to whoever waits for it, if the job has ended."""
        try:
            if not job.done():
                return False
            if job.paths.result_pickle.exists():
                future.set_result(job.result())
                return True
            self._looks[job] = self._looks.get(job, 0) + 1
            if self._looks[job] < GRACE:
                return False
            what = f'ended without a result ({job.state})'
        except Exception:  # of the task: its whole traceback, which is in the log
            what = 'failed'
        self.lost = True
        future.set_exception(RuntimeError(f'job {job.job_id} {what}: see {job.paths.stderr}'))
        return True


def check(cluster: str) -> None:
    """Look for submitit's executor.

    Raises:
        UsageError: If this machine submits no jobs.
    """
    if cluster == 'slurm' and not (shutil.which('sbatch') and shutil.which('srun')):
        raise UsageError(
            'there is no SLURM on this machine (sbatch and srun are not found): give the command '
            'on a machine that submits jobs, or try it out by --slurm-options cluster=local'
        )


def _tidy(folder: Path, keep_logs: bool) -> None:
    """Remove what was sent to jobs, which names files and so maybe patients."""
    if not keep_logs:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in folder.glob('*.pkl'):
        path.unlink(missing_ok=True)
