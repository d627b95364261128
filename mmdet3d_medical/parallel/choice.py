"""Workers by the options of commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from mmdet3d_medical.utils.errors import UsageError

from .each import Workers

SCANS_PER_JOB = 50
TIMEOUT_MIN = 120
SLURM_OPTIONS: Mapping[str, Callable] = dict(
    partition=str,
    account=str,
    qos=str,
    constraint=str,
    gres=str,
    exclude=str,
    array_parallelism=int,
    timeout_min=int,
    cpus_per_task=int,
    mem_gb=float,
    gpus_per_node=int,
    scans_per_job=int,
    cluster=str,
)


def make_workers(
    executor: str = 'local',
    processes: int = 1,
    slurm_options: Sequence[str] = (),
    out: str | Path = '.',
) -> Workers:
    """What does the work of a command.

    Args:
        executor: ``'local'``, ``'dask:ADDRESS'`` or ``'slurm'``.
        processes: Of this machine, for ``'local'``.
        slurm_options: ``'KEY=VALUE'``, see ``SLURM_OPTIONS``.
        out: Folder of the results, which all machines share.

    Raises:
        UsageError: If there is no such executor or option, a package is missing, nobody listens at
            the address, workers have another version, or there is no SLURM.
    """
    kind, _, address = executor.partition(':')
    if slurm_options and executor != 'slurm':
        raise UsageError(f'--slurm-options are for --executor slurm, found --executor {executor}')
    if executor == 'local':
        return processes
    if kind == 'dask' and address:
        return _dask(address)
    if executor == 'slurm':
        return _slurm(_parse(slurm_options), Path(out))
    raise UsageError(
        f'--executor {executor}: expected local, slurm, or dask:ADDRESS such as '
        'dask:tcp://10.0.0.1:8786'
    )


def _dask(address: str) -> Workers:
    _need('distributed', 'dask')
    from .dask_workers import DaskWorkers

    workers = DaskWorkers(address)
    workers.check()
    return workers


def _slurm(options: dict, out: Path) -> Workers:
    _need('submitit', 'slurm')
    from .slurm_jobs import SHARED, SlurmJobs, check

    cluster, group = options.pop('cluster', 'slurm'), options.pop('scans_per_job', SCANS_PER_JOB)
    check(cluster)
    options.setdefault('timeout_min', TIMEOUT_MIN)
    named = {key if key in SHARED else f'slurm_{key}': value for key, value in options.items()}
    return SlurmJobs(out, group, named, cluster)


def _need(package: str, extra: str) -> None:
    if find_spec(package) is None:
        raise UsageError(
            f'--executor {extra} needs the package {package}: '
            f"pip install 'mmdet3d_medical[{extra}]'"
        )


def _parse(options: Sequence[str]) -> dict:
    """Values by key."""
    parsed = {}
    for option in options:
        key, _, text = option.partition('=')
        if key not in SLURM_OPTIONS or not text:
            raise UsageError(
                f'--slurm-options {option}: expected KEY=VALUE, with one of the keys '
                f'{", ".join(SLURM_OPTIONS)}'
            )
        parsed[key] = _value(option, SLURM_OPTIONS[key], text)
    return parsed


def _value(option: str, kind: Callable, text: str):
    try:
        value = kind(text)
        if kind is not str and not 0 < value < float('inf'):
            raise ValueError
    except ValueError:
        raise UsageError(f'--slurm-options {option}: expected a number above 0') from None
    if option.startswith('cluster=') and value not in ('slurm', 'local'):
        raise UsageError(f'--slurm-options {option}: expected slurm or local')
    return value
