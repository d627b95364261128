"""What SLURM is told, and what is left behind; its commands are stand-ins."""

import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmdet3d_medical.parallel import do_each, make_workers
from mmdet3d_medical.utils.errors import UsageError

SBATCH = """#!/bin/sh
# Runs the jobs of an array here, as SLURM does elsewhere.
cp "$1" {folder}/script.sh
last=$(sed -n 's/#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' "$1")
for number in $(seq 0 $last); do
    SLURM_JOB_ID=7 SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$number SLURM_NTASKS=1 \\
    SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0 \\
    sh "$1" > {folder}/$number.log 2>&1 &
done
echo Submitted batch job 7
"""
SRUN = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do
    case $1 in --output|--error) shift ;; esac
    shift
done
exec "$@"
"""
REFUSING = """#!/bin/sh
echo 'sbatch: error: invalid partition specified: gpu' >&2
exit 1
"""
OPTIONS = (
    'partition=gpu timeout_min=30 cpus_per_task=4 mem_gb=7.5 scans_per_job=3 account=lab '
    'array_parallelism=9'
)
TOLD = 'partition=gpu time=30 cpus-per-task=4 mem=7680MB account=lab array=0-1%2'


def die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_array_of_jobs_and_what_sbatch_is_told(commands, slurm_jobs, tmp_path):
    """Five items, three in a job: an array of two jobs."""
    commands(sbatch=SBATCH.format(folder=tmp_path), srun=SRUN, sacct='#!/bin/sh\n')
    workers = make_workers('slurm', 1, OPTIONS.split(), tmp_path / 'out')
    assert dict(do_each(abs, range(-5, 0), workers)) == {-5: 5, -4: 4, -3: 3, -2: 2, -1: 1}
    script = (tmp_path / 'script.sh').read_text()
    assert [f'#SBATCH --{option}\n' in script for option in TOLD.split()] == [True] * 6
    assert list((tmp_path / 'out').iterdir()) == []


def test_a_cluster_that_refuses_jobs(commands, slurm_jobs, tmp_path):
    commands(sbatch=REFUSING, srun=SRUN)
    workers = make_workers('slurm', 1, ['partition=gpu'], tmp_path / 'out')
    with pytest.raises(UsageError, match='--slurm-options: .*invalid partition specified: gpu'):
        list(do_each(abs, range(5), workers))


def test_a_lost_job_leaves_its_log_and_nothing_that_names_files(slurm_jobs, tmp_path):
    workers = slurm_jobs(tmp_path, 1, {}, 'local', attempts=1)
    ((_, result),) = do_each(die, [1], workers)
    assert 'ended without a result' in result.reason
    log = Path(result.reason.rpartition('see ')[2])
    assert log.is_file() and log.parent.parent == tmp_path
    assert not list(log.parent.glob('*.pkl'))


def test_work_that_is_not_wanted_any_more_is_cancelled(slurm_jobs):
    from mmdet3d_medical.parallel.slurm_jobs import JobExecutor

    submitted, cancelled = threading.Event(), []

    def submit_array(tasks):
        submitted.set()
        cancel = [lambda check, number=number: cancelled.append(number) for number in range(2)]
        return [SimpleJob(done=lambda: False, cancel=cancel[number]) for number in range(2)]

    class SimpleJob(SimpleNamespace):
        __hash__ = object.__hash__

    executor = JobExecutor(SimpleNamespace(submit_array=submit_array))
    futures = [executor.submit(abs, number) for number in range(2)]
    assert submitted.wait(60)
    executor.shutdown(cancel_futures=True)
    assert cancelled == [0, 1] and all(future.cancelled() for future in futures)
