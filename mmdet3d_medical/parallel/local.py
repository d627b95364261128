"""Processes of this machine."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue


@dataclass(frozen=True)
class Processes:
    """A :class:`.each.Cluster` of processes."""

    number: int
    group: int = 1
    attempts: int = 3

    @contextmanager
    def open(self) -> Iterator[Executor]:
        """Start them."""
        executor = SeparateProcesses(self.number)
        try:
            yield executor
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise
        executor.shutdown()


class SeparateProcesses(Executor):
    """A pool in which a process that dies takes only its own task with it.

    That of the standard library gives up all tasks then.

    Args:
        number: Processes, at least 1.
    """

    def __init__(self, number: int) -> None:
        self._threads = ThreadPoolExecutor(number)
        self._idle: SimpleQueue[ProcessPoolExecutor] = SimpleQueue()
        for _ in range(number):
            self._idle.put(_make_process())

    def submit(self, function: Callable, /, *args, **kwargs) -> Future:
        """A task for the next free process.

        The future raises ``BrokenProcessPool`` if that process ends before the task does.
        """
        return self._threads.submit(self._run, partial(function, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes, after their tasks whatever ``wait`` says."""
        self._threads.shutdown(cancel_futures=cancel_futures)
        while not self._idle.empty():
            self._idle.get().shutdown()

    def _run(self, task: Callable):
        process = self._idle.get()
        try:
            return process.submit(task).result()
        except BrokenProcessPool:
            process.shutdown()
            process = _make_process()
            raise
        finally:
            self._idle.put(process)


def _make_process() -> ProcessPoolExecutor:
    """A fresh process of one thread, at the first task: ITK's threads do not survive a fork."""
    return ProcessPoolExecutor(1, multiprocessing.get_context('spawn'), _use_one_thread)


def _use_one_thread() -> None:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
