"""Files that a reader finds whole, the old one or the new one, whenever the writer is stopped."""

from __future__ import annotations

import errno
import functools
import json
import os
import platform
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCRATCH = '.writing'  # folders of files that are being written: SCRATCH-host-process-random
DAY = 24 * 60 * 60


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file, whole or not at all; its folder is made.

    The block writes the file that it is given, which has the same name in another folder. At the
    end of the block that takes the place of ``path``, where an error leaves what was there. It
    keeps the permissions of an older file. Where ``path`` is a link, the file it points to is
    replaced; a stream such as ``/dev/stdout`` is written at once.

    Raises:
        OSError: Naming ``path``, if it cannot be written, for a full disk say.
    """
    path = Path(path)
    if _is_stream(path):
        yield path
        return
    target = Path(os.path.realpath(path))
    with _naming(path):
        _check_replaceable(target)
        with _staged(target.parent) as folder:
            yield folder / target.name


@contextmanager
def staged(folder: str | os.PathLike) -> Iterator[Path]:
    """Write several files that belong together into a folder, which is made.

    The block writes them into the folder that it is given. At its end they take the places of
    files with the same names, of which an error leaves all as they were. All are written to the
    disk before the first is moved, and the old ones are removed before: whoever stops this, no
    reader finds old and new ones side by side.
    """
    folder = Path(folder)
    with _naming(folder), _staged(folder) as scratch:
        yield scratch


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    with _scratch(folder) as scratch:
        yield scratch
        moves = {path: folder / path.name for path in sorted(scratch.iterdir())}
        for path, place in moves.items():
            _finish(path, place)
        for place in list(moves.values())[1:]:  # a single file is replaced in one move
            place.unlink(missing_ok=True)
        for path, place in moves.items():
            os.replace(path, place)


def check_writable(path: str | os.PathLike) -> None:
    """Try, before the work that leads to it, whether a file can be written.

    Its folder is made; a file that is there stays as it is.

    Raises:
        OSError: Naming ``path``, if a folder or a named pipe is in the way, or it or its folder
            are read-only.
    """
    path = Path(path)
    if path.is_fifo() and not _is_open(path):
        raise OSError(errno.EINVAL, 'It is a pipe, for whose reader it would wait', str(path))
    if _is_stream(path):
        return
    target = Path(os.path.realpath(path))
    with _naming(path):
        _check_replaceable(target)
        with _scratch(target.parent) as scratch:
            (scratch / target.name).touch()


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write a file as :func:`replacing` does."""
    with replacing(path) as file:
        file.write_bytes(content)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write text in UTF-8, with line ends as they are, as :func:`replacing` does."""
    write_bytes(path, text.encode())


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Write JSON with sorted keys as :func:`replacing` does."""
    write_text(path, as_json(content))


def as_json(content: Any) -> str:
    """Text of a JSON file, keys sorted."""
    return json.dumps(content, indent=1, sort_keys=True) + '\n'


def in_progress(path: Path) -> Path:
    """What a file is called while another program writes it, to be renamed when it is whole."""
    return path.with_name(f'unfinished_{path.name}')


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder in a folder, which is made too; removed at the end with all that is in it."""
    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    scratch = Path(tempfile.mkdtemp(prefix=f'{SCRATCH}-{_host()}-{os.getpid()}-', dir=folder))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@functools.cache  # once in a process
def _remove_abandoned(folder: Path) -> None:
    """Remove what processes left that were killed while they wrote into a folder."""
    for path in folder.glob(f'{SCRATCH}-*-*-*'):
        if _is_abandoned(path):
            shutil.rmtree(path, ignore_errors=True)


def _is_abandoned(scratch: Path) -> bool:
    """Whether its process has ended; of other computers' ones that is seen by the age only."""
    host, process = scratch.name.split('-')[1:3]
    try:
        if host != _host() or os.name != 'posix':
            return time.time() - scratch.stat().st_mtime > DAY
        os.kill(int(process), 0)  # asks whether it is there, and does nothing to it
    except (ProcessLookupError, ValueError, OverflowError):
        return True
    except (PermissionError, FileNotFoundError):  # another user's; gone meanwhile
        pass
    return False


def _host() -> str:
    """Eight digits that stand for this computer."""
    return f'{zlib.crc32(platform.node().encode()):08x}'


def _finish(path: Path, place: Path) -> None:
    """Write a file to the disk, which may turn out to be full, before it replaces another."""
    _check_replaceable(place)
    with path.open('rb+') as file:
        os.fsync(file.fileno())
    if place.exists():
        shutil.copymode(place, path)


def _is_stream(path: Path) -> bool:
    """Whether it is a pipe, a device or, as ``/dev/stdout``, an open file: none can be replaced."""
    return path.exists() and (_is_open(path) or not (path.is_file() or path.is_dir()))


def _is_open(path: Path) -> bool:
    """Whether it stands for what the system or a shell has opened, as ``/dev/fd/63``."""
    return os.path.realpath(path.parent).startswith(('/dev', '/proc/'))


def _check_replaceable(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, 'The file is read-only', str(path))


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name a file in errors that name none, or one in a scratch folder."""
    try:
        yield
    except OSError as error:
        if error.errno is None or not (error.filename is None or SCRATCH in str(error.filename)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
