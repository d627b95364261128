"""What the voxels of a converted volume tell: HU, whole, of a chest?"""

from collections.abc import Iterator

import numpy as np

from mmdet3d_medical.structures import VolumeGeometry

from ..converters.image_io import AIR
from .problem import WARNING, Problem

STRIDE = 4  # every 64th voxel is looked at
NO_AIR_ABOVE_HU = -500
USUAL_HU = (-1100, 3100)
UNUSUAL_SHARE = 1e-3  # metal takes less
SATURATED_HU, SATURATED_SHARE = 2500, 0.01  # metal takes less, and padding more
FEW_VOXELS = 10
# Lungs are found by their density: after a crop to them, their air may be one with that outside.
LUNG_HU, LUNG_SHARE = (-950, -600), 0.02  # a tenth and more of a whole chest
CHEST_MM = (100, 150, 200)  # z, y, x: smaller volumes need not show the lungs
SIDES = ('feet', 'head'), ('front', 'back'), ('right', 'left')  # along z, y, x in LPS


def sparse(volume: np.ndarray) -> np.ndarray:
    """Every 64th voxel of a volume (D, H, W), every fourth along each axis, as a copy."""
    return np.ascontiguousarray(volume[::STRIDE, ::STRIDE, ::STRIDE])


def check_voxels(
    scan_id: str,
    volume: np.ndarray,
    voxels: np.ndarray,
    geometry: VolumeGeometry,
    filled: int | None = None,
) -> Iterator[Problem]:
    """Problems of a volume that is not constant.

    Args:
        scan_id: Of the scan.
        volume: (D, H, W) int16 HU; of it, slices are read at the ends.
        voxels: Its :func:`sparse` voxels.
        geometry: Of the volume.
        filled: HU that the converter put outside the lungs.
    """
    for kind, message in (
        ('HU', _saturated(voxels) or _unlike_hu(voxels)),
        ('slab', _slabs(volume, voxels, filled)),
        ('lungs', _no_lungs(voxels, geometry)),
    ):
        if message:
            yield Problem(WARNING, scan_id, message, kind)


def _unlike_hu(voxels: np.ndarray) -> str | None:
    low, high = int(voxels.min()), int(voxels.max())
    if low > NO_AIR_ABOVE_HU:
        return f'no air, values from {low} to {high}: is this HU?'
    share = ((voxels < USUAL_HU[0]) | (voxels > USUAL_HU[1])).mean()
    if share > UNUSUAL_SHARE:
        return (
            f'{share:.1%} of the voxels are outside {USUAL_HU[0]} to {USUAL_HU[1]} HU, values '
            f'from {low} to {high}: is this HU?'
        )
    return None


def _saturated(voxels: np.ndarray) -> str | None:
    high = int(voxels.max())
    count = int((voxels == high).sum())
    if high > SATURATED_HU and count > max(SATURATED_SHARE * voxels.size, FEW_VOXELS):
        share = count / voxels.size
        return f'{share:.1%} of the voxels have the highest value {high}: padding read as HU?'
    return None


def _slabs(volume: np.ndarray, voxels: np.ndarray, filled: int | None) -> str | None:
    """Ends of one value: any along z, where a file is cut off, else of other values than air."""
    found = []
    for axis, names in enumerate(SIDES):
        planes = np.moveaxis(volume if axis == 0 else voxels, axis, 0)
        for name, order in zip(names, (1, -1), strict=True):
            value = int(planes[::order][0].flat[0])
            usual = value == filled or (axis > 0 and value == AIR)
            count = 0 if usual else _constant_planes(planes[::order], value)
            if count:
                found.append(f'{count / len(planes):.0%} at the {name} ({value} HU)')
    return f'one value only: {", ".join(found)}: is the file cut off or padded?' if found else None


def _constant_planes(planes: np.ndarray, value: int) -> int:
    return next((n for n, plane in enumerate(planes) if (plane != value).any()), len(planes))


def _no_lungs(voxels: np.ndarray, geometry: VolumeGeometry) -> str | None:
    if (np.array(geometry.shape) * geometry.spacing_zyx < CHEST_MM).any():
        return None
    share = ((voxels > LUNG_HU[0]) & (voxels < LUNG_HU[1])).mean()
    if share < LUNG_SHARE:
        return (
            f'no lungs found: {share:.1%} of the voxels are within {LUNG_HU[0]} to {LUNG_HU[1]} '
            'HU: is this a chest CT in HU?'
        )
    return None
