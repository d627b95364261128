"""Cutting a scan into overlapping tiles and telling which tile a detection belongs to."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Tile:
    """A part of a scan.

    Attributes:
        start: First voxel (z, y, x).
        shape: Size (D, H, W).
        core_start: First voxel, in the scan, of the tile's own part.
        core_end: Last voxel + 1 of it. The cores of all tiles cover the scan once.
    """

    start: Triple
    shape: Triple
    core_start: tuple[float, ...]
    core_end: tuple[float, ...]

    @property
    def slices(self) -> tuple[slice, ...]:
        """Index of the tile in a (C, D, H, W) volume, as far as the volume goes."""
        pairs = zip(self.start, self.shape, strict=True)
        return (slice(None), *(slice(a, a + n) for a, n in pairs))

    def owns(self, boxes: Tensor) -> Tensor:
        """(N,) bool: the boxes (N, 6), in the scan's voxels, whose center lies in the core."""
        center = (boxes[:, :3] + boxes[:, 3:]) / 2
        low, high = center.new_tensor(self.core_start), center.new_tensor(self.core_end)
        return ((center >= low) & (center < high)).all(dim=1)


def cut_tiles(
    shape: Sequence[int], tile: Sequence[int], overlap: Sequence[int], divisor: Sequence[int]
) -> list[Tile]:
    """Tiles that cover a scan and lie inside it.

    Nothing is added at the ends of a scan: what a network has not seen in training, such as air
    where the chest wall should go on, it takes for lesions. All tiles but the last along an axis
    start at multiples of ``divisor``, the detector's largest strides, so that they have the
    anchors of the whole scan; the last one ends where the scan ends. Neighbors overlap by at least
    ``overlap``, or by all that a scan shorter than two tiles allows; the border between their cores
    lies in the middle of the overlap.

    Args:
        shape: Of the scan (D, H, W).
        tile: Largest size of a tile, multiples of ``divisor``.
        overlap: In voxels, less than ``tile``.
        divisor: Largest strides (z, y, x).

    Returns:
        The tiles, all of the same shape: as few as there can be, and no larger than they must be.
        Along an axis of fewer voxels than ``divisor`` the tile goes beyond the scan.

    Raises:
        ValueError: If a tile is no multiple of the divisor or the overlap leaves no room.
    """
    axes = [_cut_axis(*sides) for sides in zip(shape, tile, overlap, divisor, strict=True)]
    size = tuple(length for length, _ in axes)
    return [
        Tile(
            tuple(span[0] for span in spans),
            size,
            tuple(span[1] for span in spans),
            tuple(span[2] for span in spans),
        )
        for spans in itertools.product(*(spans for _, spans in axes))
    ]


def _cut_axis(
    side: int, tile: int, overlap: int, divisor: int
) -> tuple[int, list[tuple[int, float, float]]]:
    """Length of the tiles along an axis, and (start, core start, core end) of each."""
    if tile % divisor:
        raise ValueError(f'a tile of {tile} voxels is no multiple of the stride {divisor}')
    shared = math.ceil(overlap / divisor) * divisor
    if overlap < 0 or tile - shared < divisor:
        raise ValueError(
            f'tiles of {tile} voxels with an overlap of {overlap} do not advance by a stride of '
            f'{divisor}: make them larger or the overlap smaller'
        )
    length, number = _fewest(side, tile, shared, divisor)
    step = max(side - length, 0) / max(number - 1, 1)
    starts = [math.ceil(step * i / divisor) * divisor for i in range(number - 1)]
    starts.append(max(side - length, 0))
    borders = [(a + length + b) / 2 for a, b in itertools.pairwise(starts)]
    return length, list(zip(starts, [-math.inf, *borders], [*borders, math.inf], strict=True))


def _fewest(side: int, tile: int, shared: int, divisor: int) -> tuple[int, int]:
    """Length and number of the fewest tiles that cover an axis, all multiples of the divisor.

    Args:
        shared: Overlap of neighbors, a multiple of the divisor too.
    """
    longest = min(tile, max(side // divisor, 1) * divisor)
    if side <= longest:
        return longest, 1
    number = 2
    if longest > shared:
        number = max(number, 1 + math.ceil((side - longest) / (longest - shared)))
    length = math.ceil((side + (number - 1) * shared) / number / divisor) * divisor
    return min(length, longest), number
