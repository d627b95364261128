"""Two hosts of one process each train what one host trains with two processes.

The hosts are network namespaces of Linux, which share files but no network: an interface of each
is connected to one of the other.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / 'tools' / 'dist_train.sh'
PORT = '29500'  # any: nobody else is in the namespace
WAIT = 600  # seconds, after which a process that hangs is ended


class Host(NamedTuple):
    """A network namespace."""

    name: str
    interface: str
    address: str

    def command(self, *command: object) -> list[str]:
        """The command that runs another one on the host."""
        return ['ip', 'netns', 'exec', self.name, *map(str, command)]

    def received(self) -> int:
        """Bytes that came over the network."""
        path = f'/sys/class/net/{self.interface}/statistics/rx_bytes'
        return int(subprocess.check_output(self.command('cat', path)))


def start(command: list[str], log: Path, **variables: str) -> subprocess.Popen:
    """Start a command in a group of processes of its own."""
    path = f'{Path(sys.executable).parent}:{os.environ["PATH"]}'  # the script calls `python`
    variables = {**os.environ, 'PATH': path, 'OMP_NUM_THREADS': '1', **variables}
    with log.open('w') as file:
        return subprocess.Popen(
            command, env=variables, stdout=file, stderr=file, start_new_session=True
        )


def finish(processes: dict[Path, subprocess.Popen]) -> None:
    """Wait for commands, by their logs, and end what hangs."""
    try:
        for log, process in processes.items():
            assert process.wait(WAIT) == 0, log.read_text()
    finally:
        for process in processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def ip(*arguments: str) -> None:
    done = subprocess.run(['ip', *arguments], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f'ip {" ".join(arguments)}: {done.stderr.strip()}')


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    if shutil.which('ip') is None:
        pytest.skip('needs the command ip, of the package iproute2')
    tag = f'{os.getpid():x}'
    hosts = [Host(f'host{k}-{tag}', f'net{k}-{tag}', f'10.77.0.{k}') for k in (1, 2)]
    try:
        for host in hosts:
            ip('netns', 'add', host.name)
        first, second = hosts
        cable = ['link', 'add', first.interface, 'netns', first.name, 'type', 'veth']
        ip(*cable, 'peer', 'name', second.interface, 'netns', second.name)
        for host in hosts:
            ip('-n', host.name, 'address', 'add', f'{host.address}/24', 'dev', host.interface)
            for interface in ('lo', host.interface):
                ip('-n', host.name, 'link', 'set', interface, 'up')
        yield hosts
    finally:
        for host in hosts:  # interfaces go with them
            subprocess.run(['ip', 'netns', 'delete', host.name], capture_output=True)


def weights(work_dir: Path) -> dict[str, torch.Tensor]:
    return torch.load(work_dir / 'iter_2.pth', weights_only=False)['state_dict']


def test_two_hosts_train_what_two_processes_train(hosts, config, tmp_path):
    def train(host: Host, processes: int, work_dir: str) -> list[str]:
        script = ('bash', SCRIPT, config, processes, '--shrink', '--seed', 3)
        where = ('--work-dir', tmp_path / work_dir)
        steps = ('train_cfg.max_iters=2', 'val_dataloader=None', 'val_cfg=None')
        return host.command(*script, *where, '--cfg-options', *steps, 'val_evaluator=None')

    first, before = hosts[0], hosts[0].received()
    running = {}
    for rank, host in enumerate(hosts):
        log = tmp_path / f'host{rank}.log'
        role = dict(NNODES='2', NODE_RANK=str(rank), MASTER_ADDR=first.address, PORT=PORT)
        role['GLOO_SOCKET_IFNAME'] = host.interface
        running[log] = start(train(host, 1, 'hosts'), log, **role)
    finish(running)
    received = first.received() - before
    log = tmp_path / 'processes.log'
    alone = start(train(first, 2, 'processes'), log, PORT=PORT, GLOO_SOCKET_IFNAME='lo')
    finish({log: alone})

    two_hosts, one_host = weights(tmp_path / 'hosts'), weights(tmp_path / 'processes')
    assert two_hosts.keys() == one_host.keys()
    assert all(torch.equal(two_hosts[name], one_host[name]) for name in one_host)
    # Gradients crossed the network: the first host got about as many bytes in each of two steps.
    assert received > sum(value.nbytes for value in one_host.values())
