"""Processes that may be stopped at any moment, in folders that only one of them works in."""

from __future__ import annotations

import fcntl
import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


class BusyError(Exception):
    """Another process works in a folder."""


@contextmanager
def lock_folder(folder: Path) -> Iterator[TextIO]:
    """Hold a folder: until this ends, and until all processes end that were given the file.

    Raises:
        BusyError: If another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / 'lock').open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError from None
        yield file


def launch(
    command: Sequence[str], log: Path, lock: TextIO, env: Mapping[str, str]
) -> subprocess.Popen:
    """Start a process that adds what it prints to a log, and holds the lock as long as it lives."""
    with log.open('a') as file:
        print('$', shlex.join(command), file=file, flush=True)
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=dict(env),
                                pass_fds=[lock.fileno()])


def tail(log: Path, size: int = 4000) -> str:
    """The last ``size`` bytes of a file; '' if there is none."""
    if not log.is_file():
        return ''
    with log.open('rb') as file:
        file.seek(max(file.seek(0, os.SEEK_END) - size, 0))
        return file.read().decode(errors='replace')
