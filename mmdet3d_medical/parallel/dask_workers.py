"""Workers of a Dask cluster."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.version import __version__

if TYPE_CHECKING:
    from distributed import Client

PATIENCE = 10  # seconds for the scheduler to answer


@dataclass(frozen=True)
class DaskWorkers:
    """A :class:`.each.Cluster` of Dask, where the scheduler listens at an address."""

    address: str
    group: int = 1
    attempts: int = 2  # in each, the scheduler tries up to four workers

    @contextmanager
    def open(self) -> Iterator[Executor]:
        """Connect to the scheduler."""
        with self._connect() as client:
            executor = client.get_executor(pure=False)
            try:
                yield executor
            except BaseException:
                executor.shutdown(wait=False)  # which cancels the tasks
                raise
            executor.shutdown()

    def check(self) -> None:
        """Look for workers, and for this package on them.

        Raises:
            UsageError: If no scheduler answers, or a worker has no or another version.
        """
        with self._connect() as client:
            versions = client.run(_version_finder())
        if not versions:
            warnings.warn(
                f'{self.address} has no worker yet: scans wait for the first', stacklevel=2
            )
        for worker, version in versions.items():
            if version != __version__:
                raise UsageError(
                    f'the Dask worker {worker} has {version}, expected mmdet3d_medical '
                    f'{__version__} as here: install the same version for all workers'
                )

    def _connect(self) -> Client:
        from distributed import Client
        from distributed.utils import LoopRunner

        # Tells a lost scheduler by a traceback; do_each tells it in a line.
        logging.getLogger('distributed.client').setLevel(logging.CRITICAL)
        try:
            # A Client that fails leaves a thread, and may lock this process up when it is freed.
            LoopRunner().run_sync(_reach, self.address)
            return Client(self.address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise UsageError(
                f'no Dask scheduler answers at {self.address} ({error}): start one by `dask '
                'scheduler` and give the address that it prints, such as dask:tcp://10.0.0.1:8786'
            ) from error


async def _reach(address: str) -> None:
    from distributed.comm import connect
    from distributed.security import Security

    connection = Security().get_connection_args('client')
    await (await connect(address, timeout=PATIENCE, **connection)).close()


def _version_finder():
    """A function that is sent as a whole: workers may not have this module."""

    def find() -> str:
        try:
            from mmdet3d_medical.version import __version__
        except ImportError:
            return 'no mmdet3d_medical'
        return f'{__version__}'

    return find
