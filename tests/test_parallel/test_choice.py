"""What --executor and --slurm-options say, and what is told where that cannot be."""

import socket
import threading

import pytest

from mmdet3d_medical.cli.main import parse
from mmdet3d_medical.parallel import choice, make_workers
from mmdet3d_medical.utils.errors import UsageError


def test_processes_of_this_machine_are_the_default():
    args = parse('predict', ['phantom', 'scan', '-o', 'out', '--workers', '3'])
    assert make_workers(args.executor, args.workers, args.slurm_options, args.out) == 3


def test_options_of_slurm():
    pytest.importorskip('submitit')
    options = '--executor slurm --slurm-options cluster=local partition=a mem_gb=4 gpus_per_node=1'
    args = parse('convert-luna16', ['in', '--out', 'out', *options.split()])
    jobs = make_workers(args.executor, args.workers, args.slurm_options, args.out)
    assert (str(jobs.out), jobs.group, jobs.cluster) == ('out', 50, 'local')
    assert jobs.options == dict(slurm_partition='a', mem_gb=4, gpus_per_node=1, timeout_min=120)


@pytest.mark.parametrize(
    'executor, options, message',
    [
        ('ray', [], '--executor ray: expected local, slurm, or dask:ADDRESS such as dask:tcp://'),
        ('dask', [], '--executor dask: expected'),
        ('slurm:gpu', [], '--executor slurm:gpu: expected'),
        ('local', ['mem_gb=4'], 'are for --executor slurm, found --executor local'),
        ('slurm', ['partition=a', 'nodes=2'], 'nodes=2: expected KEY=VALUE, with one of the keys'),
        ('slurm', ['partition'], 'partition: expected KEY=VALUE'),
        ('slurm', ['cluster=debug'], 'cluster=debug: expected slurm or local'),
        ('slurm', ['mem_gb=4G'], 'mem_gb=4G: expected a number above 0'),
        ('slurm', ['scans_per_job=0'], 'scans_per_job=0: expected a number above 0'),
    ],
)
def test_what_is_wrong_with_options(executor, options, message):
    with pytest.raises(UsageError, match=message):
        make_workers(executor, 1, options)


@pytest.mark.parametrize(
    'executor, package, extra',
    [('slurm', 'submitit', 'slurm'), ('dask:tcp://a:1', 'distributed', 'dask')],
)
def test_a_package_that_is_missing(executor, package, extra, monkeypatch):
    monkeypatch.setattr(choice, 'find_spec', lambda name: None)
    message = rf"needs the package {package}: pip install 'mmdet3d_medical\[{extra}\]'"
    with pytest.raises(UsageError, match=message):
        make_workers(executor)


def test_a_machine_without_slurm(monkeypatch):
    pytest.importorskip('submitit')
    monkeypatch.setenv('PATH', '')
    with pytest.raises(UsageError, match='no SLURM on this machine'):
        make_workers('slurm')


def test_an_address_at_which_nobody_listens(monkeypatch):
    pytest.importorskip('distributed')
    from mmdet3d_medical.parallel import dask_workers

    monkeypatch.setattr(dask_workers, 'PATIENCE', 0.1)
    threads = set(threading.enumerate())
    with socket.socket() as held:  # bound, so that nobody else listens there
        held.bind(('127.0.0.1', 0))
        address = f'tcp://127.0.0.1:{held.getsockname()[1]}'
        with pytest.raises(UsageError, match=f'no Dask scheduler answers at {address} '):
            make_workers(f'dask:{address}')
    with pytest.raises(UsageError, match='no Dask scheduler answers at nowhere '):
        make_workers('dask:nowhere')
    assert set(threading.enumerate()) == threads  # a Client that failed would leave one


def test_dask_workers_of_another_version(dask_address, monkeypatch):
    from mmdet3d_medical.parallel import dask_workers

    monkeypatch.setattr(dask_workers, '__version__', '99.0')
    with pytest.raises(UsageError, match='has 0.*, expected mmdet3d_medical 99.0 as here'):
        make_workers(f'dask:{dask_address}')
