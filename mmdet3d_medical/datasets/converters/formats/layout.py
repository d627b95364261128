"""How voxels lie in files, and the check that they do."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CHUNK = 1 << 22  # bytes; a multiple of the size of every number
MAX_FILES = 1 << 16
ZLIB_OR_GZIP = 47  # window bits; MetaIO takes either
NO_ORIGIN = 'its first voxel is taken to lie at 0 mm'  # what SimpleITK takes instead
NO_DIRECTION = (
    'x is taken to run to the left, y to the back, z to the head: left and right may be swapped'
)


@dataclass(frozen=True)
class Layout:
    """What a header says about its voxels.

    Attributes:
        files: Where they are, one part after the other; the header itself if they follow it.
        numbers: How many there are, over all files.
        dtype: Of one of them.
        offset: Bytes before them in each file; None if they are its last ones.
        encoding: 'raw', 'zlib', 'gzip', 'bzip2' or 'text'.
        skipped: Bytes before them after decompression.
        stored: Bytes of compressed data, None if the header does not say.
        check_values: Whether to look for numbers that are not finite.
        problem: What is wrong with the header itself, '' if nothing.
        note: What the header does not say, and what SimpleITK takes instead; '' if nothing.
    """

    files: tuple[Path, ...]
    numbers: int
    dtype: np.dtype
    offset: int | None = 0
    encoding: str = 'raw'
    skipped: int = 0
    stored: int | None = None
    check_values: bool = False
    problem: str = ''
    note: str = ''


def numbered(
    folder: Path, pattern: str, start: str, stop: str, step: str = '1'
) -> tuple[Path, ...]:
    """Files called by a pattern of C such as ``slice%03d.raw``, ``stop`` included."""
    numbers = range(int(start), int(stop) + 1, int(step))
    if len(numbers) > MAX_FILES:
        raise ValueError(f'it names {len(numbers)} files')
    return tuple(folder / (pattern % number) for number in numbers)


def check_layout(layout: Layout) -> None:
    """Check that voxels are as a header says.

    Raises:
        ValueError: Naming the file, what was found and what was expected.
    """
    if layout.problem:
        raise ValueError(layout.problem)
    for file in layout.files:
        if not file.is_file():
            raise ValueError(
                f'{file}: no such file, or not a regular one: the header of the image '
                'names it for its voxels'
            )
    stored = sum(_size(file, layout) for file in layout.files)
    if layout.stored not in (None, stored):
        raise ValueError(
            f'{layout.files[0]}: expected {layout.stored} bytes of compressed voxels by '
            f'the header, found {stored}: it is cut off, or the header is another one'
        )
    expected = layout.numbers * layout.dtype.itemsize
    if layout.encoding == 'raw' and not layout.check_values:
        found = stored
    else:
        found = sum(_read_through(file, layout) for file in layout.files)
    if layout.encoding == 'text':
        expected = layout.numbers
    too_long = layout.offset is not None and found > expected
    if found < expected or too_long:
        what = 'numbers' if layout.encoding == 'text' else 'bytes'
        raise ValueError(
            f'{layout.files[0]}: expected {expected} {what} of voxels by the header, '
            f'found {found}: it is cut off, or the header is of another image'
        )


def _size(file: Path, layout: Layout) -> int:
    return max(file.stat().st_size - (layout.offset or 0), 0)


def _read_through(file: Path, layout: Layout) -> int:
    """Bytes of voxels in a file, all of them read."""
    if layout.encoding == 'text':
        return len(file.read_bytes()[layout.offset or 0 :].split())
    found = -layout.skipped
    try:
        for chunk in _chunks(file, layout):
            found += len(chunk)
            if layout.check_values:
                _check_finite(chunk, layout.dtype, file)
    except (zlib.error, EOFError, OSError) as error:
        raise ValueError(
            f'{file}: the compressed voxels are damaged or cut off ({error})'
        ) from None
    return max(found, 0)


def _chunks(file: Path, layout: Layout) -> Iterator[bytes]:
    """What a file holds behind its offset, decompressed, in parts of a fixed size."""
    opened: Callable = dict(gzip=gzip.open, bzip2=bz2.open).get(layout.encoding, open)
    with file.open('rb') as stream:
        stream.seek(layout.offset or 0)
        if layout.encoding == 'zlib':
            yield from _inflated(stream)
            return
        source = stream if opened is open else opened(stream)
        while chunk := source.read(CHUNK):
            yield chunk


def _inflated(stream) -> Iterator[bytes]:
    """A zlib stream, which ends with a checksum; MetaIO accepts one that does not fit."""
    engine = zlib.decompressobj(ZLIB_OR_GZIP)
    while not engine.eof:
        data = engine.unconsumed_tail or stream.read(CHUNK)
        if not data:
            raise EOFError('the stream has no end')
        yield engine.decompress(data, CHUNK)


def _check_finite(chunk: bytes, dtype: np.dtype, file: Path) -> None:
    whole = len(chunk) // dtype.itemsize * dtype.itemsize
    values = np.frombuffer(chunk[:whole], dtype)
    wrong = values[~np.isfinite(values)]
    if len(wrong):
        raise ValueError(
            f'{file}: has values that are not finite ({wrong[0]}), HU or labels were expected'
        )
