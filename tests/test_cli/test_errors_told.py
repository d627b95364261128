"""Errors of memory, disks, worker processes and parts: what is told, and what stays a traceback."""

import errno
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import OPTIMIZERS, Registry
from torch.utils.data import DataLoader, Dataset

from mmdet3d_medical.cli.errors import run_tool
from mmdet3d_medical.models.losses import SoftFocalLoss


def told(main, capsys, status: int = 2) -> str:
    with pytest.raises(SystemExit) as end:
        run_tool(main)
    assert end.value.code == status
    return capsys.readouterr().err.strip()


def throw(error: BaseException):
    raise error


class Failing(Dataset):
    """Fails when an item is loaded."""

    def __init__(self, fail) -> None:
        self.fail = fail

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        return self.fail()


def load(fail, workers: int):
    return lambda: list(DataLoader(Failing(fail), num_workers=workers))


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize(
    'fail, message',
    [
        (lambda: SoftFocalLoss(gamma=0.5), 'error: gamma must be'),
        (lambda: open('no/such/file'), 'error: [Errno 2]'),
        (lambda: throw(MemoryError('8 GB')), 'error: out of memory: 8 GB'),
        (lambda: throw(MemoryError()), 'error: out of memory'),
        (lambda: throw(OSError(errno.ENOSPC, 'No space left on device', 'file')), 'error: '),
    ],
)
def test_errors_in_worker_processes_as_in_this_one(fail, message, workers, capsys):
    error = told(load(fail, workers), capsys)
    assert error.startswith(message) and 'Traceback' not in error


def test_a_bug_in_a_worker_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError, match='Original Traceback'):
        run_tool(load(lambda: 1 / 0, 1))
    with pytest.raises(ValueError, match='Original Traceback'):
        run_tool(load(lambda: int('bug'), 1))


@pytest.mark.tried('faults', 'a worker process that is killed', 'said, with what helps')
def test_a_worker_that_is_killed(capsys):
    error = RuntimeError('DataLoader worker (pid(s) 12) exited unexpectedly')
    assert 'num_workers' in told(lambda: throw(error), capsys)


@pytest.mark.tried('faults', 'too little memory, on the CPU or the GPU', 'said, with what helps')
@pytest.mark.parametrize(
    'error',
    [
        MemoryError(),
        torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB'),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"
        ),
    ],
)
def test_too_little_memory(error, capsys):
    message = told(lambda: throw(error), capsys)
    assert message.startswith('error: out of memory') and 'batch_size' in message
    assert '\n' not in message


@pytest.mark.tried('faults', 'a disk that is full', 'the file is named')
def test_a_full_disk_names_the_file(tmp_path, capsys):
    def write():
        with open(tmp_path / 'log.txt', 'w') as log:
            log.write('x')
            raise OSError(errno.ENOSPC, 'No space left on device')

    assert told(write, capsys) == f'error: {tmp_path / "log.txt"}: the disk is full'


@pytest.mark.tried('faults', 'Ctrl-C', 'exit status 130, no traceback')
def test_interrupted(capsys):
    assert told(lambda: throw(KeyboardInterrupt()), capsys, 130) == 'interrupted'


def test_a_value_that_a_part_of_another_package_refuses(capsys):
    weight = [torch.zeros(1, requires_grad=True)]
    cfg = dict(type='SGD', params=weight, lr=-1.0)
    assert told(lambda: OPTIMIZERS.build(cfg), capsys) == (
        'error: SGD in the config: Invalid learning rate: -1.0'
    )


def test_a_bug_in_the_work_of_a_part_keeps_its_traceback():
    parts = Registry('part')

    @parts.register_module()
    class Part:
        def __init__(self) -> None:
            self.prepare()

        def prepare(self) -> None:
            len(3)

    with pytest.raises(TypeError):
        run_tool(lambda: parts.build(dict(type='Part')))


def test_what_a_config_lacks_is_named(capsys):
    error = told(lambda: Config(dict(a=1)).model, capsys)
    assert error == "error: the config has no 'model'"


def test_who_reads_no_more_is_left_alone(tmp_path):
    code = (
        'from mmdet3d_medical.cli.errors import run_tool\n'
        'run_tool(lambda: print("x" * 10**6, flush=True))\n'
    )
    (tmp_path / 'tool.py').write_text(code)
    command = f'{sys.executable} {tmp_path / "tool.py"} | true'
    process = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert 'Traceback' not in process.stderr
