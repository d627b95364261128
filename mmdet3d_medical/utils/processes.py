"""Processes that may be stopped at any moment, in folders that only one of them works in."""

from __future__ import annotations

import os
import shlex
import subprocess
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from filelock import lock_descriptor

STEPS_LOCK = 'steps.lock'  # of what starts runs and tests in a folder one after the other
_held: set[TextIO] = set()


class BusyError(Exception):
    """Another process works in a folder."""


@contextmanager
def lock_folder(folder: str | os.PathLike, name: str = 'lock') -> Iterator[TextIO]:
    """Hold a folder: until this ends, and until all processes end that :func:`launch` gave it to.

    The system frees it when they are killed. Processes that are forked, such as workers of a data
    loader, do not hold it. Where a network's file system knows no locks, a warning says so.

    Args:
        folder: Made if missing.
        name: Of the lock's file. Those of different names do not keep each other out.

    Raises:
        BusyError: If another process holds it.
    """
    path = Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('a') as file:
        if not _lock(file):
            raise BusyError(
                f'another process works in {path.parent}: wait for its end, or give another folder'
            )
        _held.add(file)
        try:
            yield file
        finally:
            _held.remove(file)


def _lock(file: TextIO) -> bool:
    """Lock a file until all that have it open close it; False if another process has done so."""
    try:
        return lock_descriptor(file.fileno(), blocking=False)
    except OSError as error:
        warnings.warn(
            f'{file.name} cannot be locked ({error.strerror}): nothing keeps a second '
            'process out of this folder',
            stacklevel=2,
        )
        return True


def _close_held() -> None:
    for file in _held:
        file.close()


if hasattr(os, 'register_at_fork'):  # nothing is forked on Windows
    os.register_at_fork(after_in_child=_close_held)


def launch(
    command: Sequence[str], log: Path, lock: TextIO, env: Mapping[str, str]
) -> subprocess.Popen:
    """Start a process that adds what it prints to a log, and holds the lock as long as it lives.

    Not on Windows: there a run holds the lock of its own work directory only.
    """
    with log.open('a') as file:
        print('$', shlex.join(command), file=file, flush=True)
        return subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=dict(env),
            pass_fds=[lock.fileno()] if os.name == 'posix' else [],
        )


def tail(log: Path, size: int = 4000) -> str:
    """The last ``size`` bytes of a file; '' if there is none."""
    if not log.is_file():
        return ''
    with log.open('rb') as file:
        file.seek(max(file.seek(0, os.SEEK_END) - size, 0))
        return file.read().decode(errors='replace')
