"""Compressed voxels that look like an array."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin


class VoxelFile(Protocol):
    """What a :class:`CompressedVolume` reads from."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def read(self, region: tuple[slice, ...]) -> np.ndarray: ...

    def read_all(self) -> np.ndarray: ...


class CompressedVolume(NDArrayOperatorsMixin):
    """Voxels (D, H, W) of a compressed file, or (1, D, H, W) as ``volume[None]``.

    A crop, a slice of steps of 1 for each axis, is decompressed without the rest. Anything else
    that is done with an array decompresses the whole, once, into memory, where it stays: results
    are always those of the array, and writing never reaches the file.
    """

    def __init__(self, file: VoxelFile, channels: tuple[int, ...] = ()) -> None:
        self.shape = (*channels, *file.shape)
        self.dtype = file.dtype
        self._file, self._channels = file, channels
        self._whole: np.ndarray | None = None

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        if self._whole is None and key is None:
            return CompressedVolume(self._file, (1, *self._channels))
        if self._whole is None and _is_crop(key, self.ndim):
            number = len(self._channels)
            voxels = self._crop(key[number:])
            return voxels[(None,) * number][key[:number]]
        return np.asarray(self)[key]

    def _crop(self, key: tuple[slice, ...]) -> np.ndarray:
        ends = [
            part.indices(length)[:2] for part, length in zip(key, self._file.shape, strict=True)
        ]
        extents = [max(stop - start, 0) for start, stop in ends]
        if 0 in extents:
            return np.empty(extents, self.dtype)
        return self._file.read(tuple(slice(*end) for end in ends))

    def __setitem__(self, key: Any, value: Any) -> None:
        np.asarray(self)[key] = value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self._whole is None:
            self._whole = self._file.read_all()[(None,) * len(self._channels)]
        return np.array(self._whole, dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if 'out' in kwargs:
            kwargs['out'] = tuple(map(_as_array, kwargs['out']))
        return getattr(ufunc, method)(*map(_as_array, inputs), **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('_'):  # asked for by copy, pickle and numpy, which do without
            raise AttributeError(name)
        return getattr(np.asarray(self), name)

    def __reduce__(self) -> Any:
        return np.asarray(self).__reduce__()  # an array, for a process that has no such file open

    def __repr__(self) -> str:
        return f'{type(self).__name__}(shape={self.shape}, dtype={self.dtype})'


def _is_crop(key: Any, ndim: int) -> bool:
    """Whether an index is one slice of step 1 for each axis."""
    return (
        isinstance(key, tuple)
        and len(key) == ndim
        and all(isinstance(part, slice) and part.step in (None, 1) for part in key)
    )


def _as_array(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, CompressedVolume) else value
