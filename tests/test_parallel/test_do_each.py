"""Every item gets one result, whatever becomes of the workers: of this machine, Dask, SLURM."""

import os
import signal
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from mmdet3d_medical.parallel import NoResult, do_each, make_workers, map_parallel
from mmdet3d_medical.parallel.local import Processes

KILLER, FAILING = 3, 1


def work(log: Path, number: int) -> int:
    """Multiply by what a file in the working directory says."""
    with log.open('a') as file:
        file.write(f'{number}\n')
    if number == FAILING:
        raise TypeError(f'{number} is\nno scan')
    if number == KILLER and log.read_text().split().count(str(number)) == 1:
        die(number)
    return number * int(Path('factor').read_text())


def die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(params=['processes', 'dask', 'slurm'])
def workers(request, tmp_path):
    if request.param == 'processes':
        return Processes(2)
    if request.param == 'slurm':
        return request.getfixturevalue('slurm_jobs')(tmp_path / 'out', 2, cluster='local')
    return make_workers(f'dask:{request.getfixturevalue("dask_address")}')


@pytest.mark.tried(
    'faults',
    'kill -9 of a process of --workers, of a Dask worker, of a job of submitit',
    'what it had is done again, the others go on',
)
def test_what_a_lost_worker_had_is_done_again(workers, tmp_path, monkeypatch):
    """Beside a failing item, which is not, and with a path relative to where the command is."""
    (tmp_path / 'here').mkdir()
    (tmp_path / 'here' / 'factor').write_text('7')
    monkeypatch.chdir(tmp_path / 'here')
    log = tmp_path / 'calls.txt'
    done = list(do_each(partial(work, log), range(4), workers))
    assert len(done) == 4
    assert dict(done) == {0: 0, FAILING: NoResult('1 is no scan'), 2: 14, KILLER: 21}
    calls = log.read_text().split()
    assert calls.count('3') == 2 and {*map(calls.count, '012')} <= {1, 2}
    if isinstance(workers, Processes):  # others lose what the worker had beside it
        assert sorted(calls) == ['0', '1', '2', '3', '3']


def test_an_item_that_ends_every_worker_is_given_up(dask_address):
    workers = make_workers(f'dask:{dask_address}')
    ((_, result),) = do_each(die, [KILLER], workers)
    assert result.reason.startswith('no result in 2 attempts: Attempted to run task')


class Groups(Executor):
    """A cluster that loses every group with the killer in it, and remembers its groups."""

    def __init__(self, group: int, attempts: int, loses=lambda group: KILLER in group) -> None:
        self.group, self.attempts, self.loses = group, attempts, loses
        self.rounds: list[list[list]] = []

    @contextmanager
    def open(self):
        self.rounds.append([])
        yield self

    def submit(self, function, group):
        self.rounds[-1].append(list(group))
        future = Future()
        if self.loses(group):
            future.set_exception(RuntimeError('its machine\nis gone'))
        else:
            future.set_result(function(group))
        return future


def test_lost_groups_are_split():
    groups = Groups(group=4, attempts=3)
    done = dict(do_each(abs, range(6), groups))
    assert done == {
        **{number: number for number in (0, 1, 2, 4, 5)},
        KILLER: NoResult('no result in 3 attempts: its machine is gone'),
    }
    assert groups.rounds == [[[0, 1, 2, 3], [4, 5]], [[0], [1], [2], [3]], [[3]]]


@pytest.mark.parametrize(
    'items, group, loses, jobs',
    [
        (750, 3, lambda group: True, [250, 250]),  # not 750 jobs in the second attempt
        (100, 10, lambda group: group[0] == 0, [10, 10]),  # one lost group of ten
        (300, 100, lambda group: True, [3, 100]),
    ],
)
def test_lost_groups_are_split_into_few(items, group, loses, jobs):
    groups = Groups(group, 2, loses)
    assert len(list(do_each(abs, range(items), groups))) == items
    assert [len(some) for some in groups.rounds] == jobs


def test_results_of_map_are_in_order():
    groups = Groups(1, 1, lambda group: False)
    assert list(map_parallel(abs, range(-50, 50), groups)) == [*range(50, 0, -1), *range(50)]
    assert len(groups.rounds[0]) == 100
