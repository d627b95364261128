"""How the voxels of converted volumes lie on the disk.

Each storage has files of its own kind, told by their suffix. Voxels are the same whichever is
taken, and whoever reads a volume need not know.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import b2nd, npy
from .compressed import CompressedVolume

__all__ = ['STORAGES', 'CompressedVolume', 'Storage', 'storage_of']


class Storage(NamedTuple):
    """A kind of volume files.

    Attributes:
        suffix: That its files end in.
        check: Raises a :class:`UsageError` where a package is missing.
        write: Writes voxels (D, H, W) to a file.
        open: Gives the voxels of a file, reading none; raises a ``ValueError`` that names a file
            that is none of this kind, or damaged.
    """

    suffix: str
    check: Callable[[], object]
    write: Callable[[Path, np.ndarray], None]
    open: Callable[[str], np.memmap | CompressedVolume]


STORAGES = {
    'npy': Storage('.npy', lambda: None, np.save, npy.map_file),
    'blosc2': Storage('.b2nd', b2nd.load_package, b2nd.write, b2nd.open_file),
}


def storage_of(path: str | os.PathLike) -> Storage:
    """The storage of a file by its suffix, ``'npy'`` where no other has it."""
    suffix = Path(path).suffix
    return next((s for s in STORAGES.values() if s.suffix == suffix), STORAGES['npy'])
