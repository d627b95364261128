"""Clusters on this machine."""

import os
import stat
from pathlib import Path

import pytest

ROOT, PATHS = str(Path(__file__).parents[2]), 'PYTHONPATH'


@pytest.fixture
def dask_address():
    """A scheduler with two worker processes, which gives up a task with its first worker.

    Of each test its own: a worker that a test ends may never come again.
    """
    distributed = pytest.importorskip('distributed')
    import dask

    options = {'distributed.scheduler.allowed-failures': 0}
    with (
        dask.config.set(options),
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster,
    ):
        cluster.wait_for_workers(2, timeout=60)
        yield cluster.scheduler_address


@pytest.fixture
def slurm_jobs(monkeypatch):
    """The class of SLURM's jobs, which are watched closely."""
    pytest.importorskip('submitit')
    from mmdet3d_medical.parallel import slurm_jobs

    # Jobs find the functions of these tests, as pytest does.
    monkeypatch.setenv(PATHS, os.pathsep.join(filter(None, (ROOT, os.environ.get(PATHS)))))
    monkeypatch.setattr(slurm_jobs, 'POLL', 0.05)
    monkeypatch.setattr(slurm_jobs, 'GRACE', 1)
    return slurm_jobs.SlurmJobs


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Function that puts shell scripts on the path, by name."""

    def put(**texts: str) -> Path:
        folder = tmp_path / 'bin'
        folder.mkdir()
        for name, text in texts.items():
            path = folder / name
            path.write_text(text)
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv('PATH', f'{folder}:{os.environ["PATH"]}')
        return folder

    return put
