"""Whether the files of a volume hold what their header promises.

ITK reads many files that do not, without a word: what is cut off becomes 0 HU, and damaged
compressed data become other voxels.
"""

import functools
import zlib
from collections.abc import Iterable
from pathlib import Path

from . import metaimage, nifti, nrrd
from .layout import Layout, check_layout

DAMAGE = (
    ValueError, TypeError, KeyError, IndexError, OverflowError, EOFError, OSError, zlib.error,
)  # fmt: skip
UNPLACED = 'scans have files that do not say how large voxels are, or where they lie'
UNCHECKED = 'scans have files of a format that is not checked for being whole'
READERS = {
    '.nii': nifti.layout,
    '.nii.gz': nifti.layout,
    '.hdr': nifti.layout,
    '.img': nifti.layout,
    '.mhd': metaimage.layout,
    '.mha': metaimage.layout,
    '.nhdr': nrrd.layout,
    '.nrrd': nrrd.layout,
}


def layout_of(path: str | Path) -> Layout | None:
    """What the header of a volume says about its voxels; ``None`` for other formats.

    Raises:
        ValueError: If the file is no header of its format.
    """
    path = Path(path)
    reader = next(
        (read for suffix, read in READERS.items() if path.name.lower().endswith(suffix)), None
    )
    if reader is None:
        return None
    if not path.is_file():  # opening a pipe would wait for ever
        raise ValueError(f'{path}: no such file, or not a regular one')
    try:
        return reader(path)
    except DAMAGE as error:
        raise ValueError(
            f'{path}: cannot be read as an image: its header is missing, damaged or '
            f'of another format ({error})'
        ) from None


def check_files(path: str | Path) -> None:
    """Check that the files of a volume are there and whole, before they are read.

    The number of bytes must be the one of the header, compressed data must pass their own
    checksums, and numbers must be finite where ITK would make them 0. Formats other than those of
    ``READERS`` pass.

    Raises:
        ValueError: Naming the file, what was found and what was expected.
    """
    layout = layout_of(path)
    try:
        if layout is not None:
            _check_once(layout, _stamps(layout))
    except ValueError as error:
        named = str(error).startswith(f'{path}:')
        raise error if named else ValueError(f'{path}: {error}') from None


@functools.lru_cache(maxsize=1024)
def _check_once(layout: Layout, stamps: tuple) -> None:
    """Check files that have not changed since: a lung mask is read twice."""
    check_layout(layout)


def _stamps(layout: Layout) -> tuple:
    states = [file.stat() for file in layout.files if file.is_file()]
    return tuple((state.st_size, state.st_mtime_ns) for state in states)


def data_files(path: str | Path) -> list[Path]:
    """The file of a volume and those that its header names, whether they are there or not."""
    try:
        layout = layout_of(path)
    except ValueError:  # it is told when the volume is read
        layout = None
    return [Path(path), *(file for file in (layout.files if layout else ()) if file != Path(path))]


def file_notes(paths: Iterable[str | Path]) -> dict[str, str]:
    """What the user should know of the volumes of a scan that were read, by title."""
    found: dict[str, list[str]] = {}
    for path in map(Path, paths):
        layout = layout_of(path)
        if layout is None:
            found.setdefault(UNCHECKED, []).append(path.name)
        elif layout.note:
            found.setdefault(UNPLACED, []).append(f'{path.name} {layout.note}')
    return {title: '; '.join(details) for title, details in found.items()}
