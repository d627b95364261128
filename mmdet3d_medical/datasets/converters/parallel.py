"""The same work for many files, on several processes."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import SimpleITK as sitk

Item, Result = TypeVar('Item'), TypeVar('Result')


def make_pool(workers: int) -> ProcessPoolExecutor:
    """Fresh processes of one thread each: ITK's threads do not survive a fork."""
    return ProcessPoolExecutor(workers, multiprocessing.get_context('spawn'), _use_one_thread)


def map_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Result]:
    """Results in the order of the items; with one worker or item in this process.

    Args:
        function: A function of a module: it is sent to other processes.
        items: What it takes.
        workers: Processes, at least 1.
    """
    if workers == 1 or len(items) < 2:
        yield from map(function, items)
        return
    with make_pool(workers) as pool:
        yield from pool.map(function, items)


def _use_one_thread() -> None:
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
