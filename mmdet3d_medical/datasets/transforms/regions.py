"""The voxels of a box, and how those of one box are brought to another."""

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from torch import Tensor

Region = tuple[slice, slice, slice]


def voxel_regions(boxes: np.ndarray, shape: Sequence[int]) -> list[Region | None]:
    """The voxels of each box inside a volume.

    A voxel belongs to a box if its center does. A box between centers has the voxel around its
    middle, so that every box has one.

    Args:
        boxes: (N, 6) voxel edges (z1, y1, x1, z2, y2, x2); what lies outside the volume is cut off.
        shape: Voxels (D, H, W) of the volume.

    Returns:
        For each box slices of (D, H, W), or ``None`` where the box is flat or wholly outside.
    """
    low, high = np.maximum(boxes[:, :3], 0), np.minimum(boxes[:, 3:], shape)
    start, stop = np.ceil(low - 0.5), np.ceil(high - 0.5)
    # A box that all but ends at the far edge of the volume has a middle that rounds to this edge.
    middle = np.minimum(np.floor((low + high) / 2), np.subtract(shape, 1))
    start = np.where(start < stop, start, middle).astype(int)
    stop = np.maximum(stop, start + 1).astype(int)
    return [
        tuple(map(slice, first, last)) if solid else None
        for first, last, solid in zip(
            start.tolist(), stop.tolist(), (low < high).all(axis=1), strict=True
        )
    ]


def extent(region: Region) -> tuple[int, ...]:
    """Voxels (d, h, w) of a region."""
    return tuple(part.stop - part.start for part in region)


def mix_region(volume: Tensor, region: Region, other: Tensor, lam: float) -> None:
    """Mix a region of a volume with other voxels, in place: lam * own + (1 - lam) * other.

    Args:
        volume: (C, D, H, W) float, altered.
        region: Which voxels.
        other: (C, d, h, w) of any extent, rescaled trilinearly, edges on edges.
        lam: Weight of the volume's own voxels, in [0, 1].
    """
    own = volume[(slice(None), *region)]
    if other.shape != own.shape:
        other = F.interpolate(other[None], size=extent(region), mode='trilinear')[0]
    own.copy_(other.lerp(own, lam))
