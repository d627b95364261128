"""One function, many items, results as they come; what is lost with a worker is done again."""

from __future__ import annotations

import math
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias, TypeVar

from mmdet3d_medical.utils.errors import UsageError

from .local import Processes

Item, Result = TypeVar('Item'), TypeVar('Result')

REPEATS = 100  # groups that lost items are at least spread over, if there are as many items
# A Dask worker of several threads gets several tasks at once; a model takes one scan at a time.
_one_at_a_time = threading.Lock()


class Cluster(Protocol):
    """Where work is done.

    Attributes:
        group: Items that are given away together, and come back together.
        attempts: How often an item is given away, if the workers that had it are lost.
    """

    group: int
    attempts: int

    def open(self) -> AbstractContextManager[Executor]:
        """Connect to it. Where the block ends by an exception, its work is cancelled.

        Raises:
            UsageError: If that is not possible.
        """


Workers: TypeAlias = 'int | Cluster'  # a number is one of processes of this machine


@dataclass(frozen=True)
class NoResult:
    """What an item has in place of a result: a line that says why."""

    reason: str


def in_this_process(items: Sequence, workers: Workers) -> bool:
    """Whether the work needs no process but this one: a single worker, or a single item."""
    return isinstance(workers, int) and (workers == 1 or len(items) < 2)


def do_each(
    function: Callable[[Item], Result], items: Sequence[Item], workers: Workers = 1
) -> Iterator[tuple[Item, Result | NoResult]]:
    """Each item with its result, in the order in which they end.

    An item whose worker is lost (killed, for want of memory say, or with its machine) is given to
    another one, ``attempts`` times in all. Then it has a :class:`NoResult`, as one has whose
    function raises an exception. Lost groups are split, so that an item that ends every worker
    takes no other one with it. A function may so be called again for an item that it had finished
    when its worker was lost: it should look.

    Args:
        function: A function of a module, or a partial of one: it is sent to other processes, where
            relative paths mean what they mean here. In this process exceptions are raised.
        items: What it takes.
        workers: Who does it.
    """
    if in_this_process(items, workers):
        yield from ((item, function(item)) for item in items)
        return
    cluster = Processes(workers) if isinstance(workers, int) else workers
    groups = _groups(items, cluster.group)
    for attempt in range(1, cluster.attempts + 1):
        lost: list[Item] = []
        for item, result in _do_groups(function, groups, cluster):
            if isinstance(result, _Lost) and attempt < cluster.attempts:
                lost.append(item)
            elif isinstance(result, _Lost):
                yield item, NoResult(f'no result in {attempt} attempts: {result.reason}')
            else:
                yield item, result
        if not lost:
            return
        groups = _groups(lost, math.ceil(len(lost) / max(len(groups), REPEATS)))


def map_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], workers: Workers = 1
) -> Iterator[Result]:
    """Results in the order of the items.

    Args:
        function: As in :func:`do_each`.
        items: What it takes.
        workers: Who does it.

    Raises:
        UsageError: If there is no result of an item; it says why.
    """
    waiting: dict[int, Result] = {}
    next_one = 0
    for (number, _), result in do_each(partial(_second, function), [*enumerate(items)], workers):
        if isinstance(result, NoResult):
            raise UsageError(result.reason)
        waiting[number] = result
        while next_one in waiting:
            yield waiting.pop(next_one)
            next_one += 1


@dataclass(frozen=True)
class _Lost:
    """What became of items whose worker did not answer."""

    reason: str


def _groups(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _do_groups(
    function: Callable[[Item], Result], groups: Sequence[Sequence[Item]], cluster: Cluster
) -> Iterator[tuple[Item, Result | NoResult | _Lost]]:
    """Do it once."""
    if not groups:
        return
    with cluster.open() as executor:
        work = partial(_do_group, function, folder=os.getcwd())
        futures = {executor.submit(work, group): group for group in groups}
        for future in as_completed([*futures]):
            group = futures.pop(future)
            try:
                results = future.result()
            except UsageError:  # no work can be given away
                raise
            except Exception as error:
                results = [_Lost(_line(error))] * len(group)
            yield from zip(group, results, strict=True)


def _do_group(
    function: Callable[[Item], Result], items: Sequence[Item], folder: str
) -> list[Result | NoResult]:
    """What a worker does."""
    with _one_at_a_time, _working_in(folder):
        return [_do(function, item) for item in items]


def _do(function: Callable[[Item], Result], item: Item) -> Result | NoResult:
    try:
        return function(item)
    except Exception as error:
        return NoResult(_line(error))


def _line(error: Exception) -> str:
    """What an exception says, in a line; its name, if it says nothing."""
    return ' '.join((str(error) or type(error).__name__).split())


@contextmanager
def _working_in(folder: str) -> Iterator[None]:
    """Paths are relative to the folder in which the command was given, on every machine."""
    before = os.getcwd()
    try:
        os.chdir(folder)
    except OSError as error:
        raise RuntimeError(
            f'{socket.gethostname()} cannot work in {folder} ({error.strerror}): give the command '
            'in a folder that all machines share'
        ) from None
    try:
        yield
    finally:
        os.chdir(before)


def _second(function: Callable[[Item], Result], pair: tuple[int, Item]) -> Result:
    return function(pair[1])
