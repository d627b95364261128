"""Scans of which no more is preprocessed than is looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor


class LazyScan:
    """A scan that preprocesses the part one asks for: ``scan[:, z1:z2, y1:y2, x1:x2]``.

    It stands in for the preprocessed (C, D, H, W) tensor, of which four bytes a voxel would have to
    be kept; slices end where the scan ends, as those of tensors do.

    Args:
        volume: (C, D, H, W) in HU, on any device.
        meta: Meta information of the scan's sample.
        prepare: From a part, its first voxel (z, y, x) and ``meta`` to what the network gets.
    """

    def __init__(self, volume: Tensor, meta: Mapping, prepare: Callable[..., Tensor]):
        self.shape = volume.shape
        self._volume, self._meta, self._prepare = volume, meta, prepare

    def __getitem__(self, slices: tuple[slice, ...]) -> Tensor:
        start = tuple(part.start or 0 for part in slices[1:])
        return self._prepare(self._volume[slices], start, self._meta)
