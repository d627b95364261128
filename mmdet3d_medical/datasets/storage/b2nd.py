"""Compressed volumes in ``.b2nd`` files of blosc2, the format of nnU-Net v2.

A volume consists of chunks, and these of blocks, which are decompressed each by itself. A file is
read and written by one thread: scans and patches are worked on side by side already, by the
processes of a converter or a data loader. blosc2 then starts no thread at all, so that nothing is
lost where a process forks.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from mmdet3d_medical.utils.errors import UsageError

from .compressed import CompressedVolume

CHUNK = 64  # voxels along each axis
BLOCK = 32  # a crop of 128^3 touches 125 of them, 1.95 times its voxels; of 64^3 it would be 3.4
LENGTH = slice(16, 24)  # where a file says how long it is, big endian
CHECKSUM = 'mmdet3d_crc32'  # of all voxels
SAFE = 'UnsafeDeserializationError'  # since 4.14.1 files cannot have code run
INSTALL = 'pip install "mmdet3d_medical[blosc2]" (Python 3.11 or newer)'


def load_package() -> ModuleType:
    """Import blosc2, where it is first needed: that takes 0.4 s.

    Raises:
        UsageError: If it is not installed, or too old.
    """
    try:
        import blosc2
    except ImportError:
        raise UsageError(f'compressed volumes need blosc2: {INSTALL}') from None
    if not hasattr(blosc2, SAFE):
        raise UsageError(
            f'compressed volumes need a newer blosc2 than {blosc2.__version__}: {INSTALL}'
        )
    return blosc2


def write(path: Path, voxels: np.ndarray) -> None:
    """Write voxels (D, H, W) to a file."""
    path.write_bytes(compress(voxels))


def compress(
    voxels: np.ndarray,
    codec: str = 'ZSTD',
    level: int = 5,
    filters: Sequence[str] = ('SHUFFLE', 'BYTEDELTA'),
) -> bytes:
    """Content of the file of a volume, the same for the same voxels.

    Args:
        voxels: (D, H, W).
        codec: Name of a ``blosc2.Codec``.
        level: 1 to 9.
        filters: Names of ``blosc2.Filter``, applied in this order before the codec. By default
            bytes are ordered by their significance, and replaced by their differences.
    """
    blosc2, voxels = load_package(), np.ascontiguousarray(voxels)
    settings = blosc2.CParams(
        codec=blosc2.Codec[codec],
        clevel=level,
        typesize=voxels.itemsize,
        filters=[blosc2.Filter[name] for name in filters],
        filters_meta=[voxels.itemsize if name == 'BYTEDELTA' else 0 for name in filters],
        nthreads=1,
    )
    array = blosc2.asarray(
        voxels,
        chunks=[min(CHUNK, length) for length in voxels.shape],
        blocks=[min(BLOCK, length) for length in voxels.shape],
        cparams=settings,
        dparams=blosc2.DParams(nthreads=1),
        meta={CHECKSUM: zlib.crc32(voxels)},
    )
    return array.to_cframe()


def open_file(path: str) -> CompressedVolume:
    """Open a file, of which no voxel is read yet.

    Raises:
        UsageError: If blosc2 is missing.
        ValueError: If it cannot be read, or holds something else or more than an array.
    """
    blosc2 = load_package()
    try:
        array = blosc2.open(
            os.path.abspath(path),  # which is no address
            mode='r',
            mmap_mode='r',
            dparams=blosc2.DParams(nthreads=1),
            deserialize='safe',
        )
    except Exception as error:  # a damaged header leads to errors of many kinds
        raise ValueError(f'{path} is not a readable volume ({error})') from error
    if not (isinstance(array, blosc2.NDArray) and _stated_length(path) == os.path.getsize(path)):
        raise ValueError(
            f'{path} is not a volume as the converters write it (.b2nd, nothing behind the voxels)'
        )
    return CompressedVolume(_File(path, array))


def _stated_length(path: str) -> int:
    with open(path, 'rb') as file:
        return int.from_bytes(file.read(LENGTH.stop)[LENGTH], 'big')


class _File:
    """An open file, which a :class:`CompressedVolume` reads from."""

    def __init__(self, path: str, array) -> None:
        self.shape, self.dtype = array.shape, array.dtype
        self._path, self._array = path, array

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        """Decompress a region; what it says of a damaged file holds for the blocks touched.

        Raises:
            ValueError: If they cannot be decompressed.
        """
        try:
            return self._array[region]
        except RuntimeError as error:
            raise self._damaged(str(error)) from error

    def read_all(self) -> np.ndarray:
        """Decompress the whole, and compare it with the checksum that was written with it.

        Raises:
            ValueError: If it is damaged.
        """
        voxels, meta = self.read((slice(None),) * len(self.shape)), self._array.schunk.meta
        if CHECKSUM in meta and meta[CHECKSUM] != zlib.crc32(voxels):
            raise self._damaged('its voxels do not have the checksum that they were written with')
        return voxels

    def _damaged(self, why: str) -> ValueError:
        return ValueError(f'{self._path} is damaged ({why}): delete it and convert the data again')
