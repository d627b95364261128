"""Plain volumes in ``.npy`` files: mapped into memory, nothing is computed to read them."""

import os

import numpy as np


def map_file(path: str) -> np.memmap:
    """Map a file into memory, copy-on-write: the file is never altered.

    Raises:
        ValueError: If it cannot be read, or holds more than one array.
    """
    try:
        volume = np.load(path, mmap_mode='c')
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f'{path} is not a readable volume ({error})') from error
    mapped = isinstance(volume, np.memmap)
    if not (mapped and volume.offset + volume.nbytes == os.path.getsize(path)):
        raise ValueError(
            f'{path} is not a volume as the converters write it (.npy, nothing behind the voxels)'
        )
    return volume
