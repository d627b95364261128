"""What is wrong with a converted data set."""
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmdet3d_medical.structures import VolumeGeometry

from .index import volume_path
from .transforms.loading import instance_boxes, open_volume

ERROR, WARNING = 'error', 'warning'
STRIDE = 4  # every 64th voxel is looked at
AIR_BELOW_HU = -500
METAL_ABOVE_HU = 20000
SPACING_FACTOR = 2.0
LARGEST_LESION_MM = 150.0


class Problem(NamedTuple):
    """Something wrong: how bad, with which scan, and what."""

    level: str
    scan_id: str
    message: str


def check_scans(scans: Sequence[dict], root: str | Path) -> list[Problem]:
    """Check all scans of an index.

    Errors are missing, unreadable or constant volumes, lesions outside their volume and volumes
    of equal content. Warnings are values that do not look like HU, spacings more than a factor 2
    off the median, axes that are not LPS, and lesions that are tiny, huge or annotated twice.

    Args:
        scans: Scans of an index that :func:`.index.read_index` accepted.
        root: Folder of the index.
    """
    problems = list(_check_spacings(scans))
    first_with: dict[str, str] = {}
    for scan in scans:
        try:
            geometry = VolumeGeometry.from_dict(scan['geometry'])
            volume = open_volume(str(volume_path(root, scan)), geometry, scan['scan_id'])
        except (ValueError, TypeError, OSError) as error:
            problems.append(Problem(ERROR, scan['scan_id'], str(error)))
            continue
        voxels = np.ascontiguousarray(volume[::STRIDE, ::STRIDE, ::STRIDE])
        content = hashlib.sha256(f'{volume.shape}'.encode() + voxels.tobytes()).hexdigest()
        twin = first_with.setdefault(content, scan['scan_id'])
        if twin != scan['scan_id']:
            problems.append(Problem(ERROR, scan['scan_id'], f'same content as {twin}'))
        problems += _check_voxels(scan['scan_id'], voxels)
        problems += _check_lesions(scan, geometry)
    if scans and not any(scan['instances'] for scan in scans if scan['annotated']):
        problems.append(Problem(WARNING, '', 'no scan has a lesion'))
    return sorted(problems, key=lambda problem: (problem.level, problem.scan_id))


def _check_spacings(scans: Sequence[dict]) -> Iterator[Problem]:
    spacings = {scan['scan_id']: scan['geometry'].get('spacing') for scan in scans}
    usable = {key: np.array(value, float) for key, value in spacings.items()
              if value is not None and len(value) == 3 and min(value) > 0}
    if not usable:
        return
    median = np.median(list(usable.values()), axis=0)
    for scan_id, spacing in usable.items():
        if np.abs(np.log(spacing / median)).max() > np.log(SPACING_FACTOR):
            yield Problem(WARNING, scan_id, f'spacing (x, y, z) {spacing.round(3).tolist()} mm, '
                          f'the median is {median.round(3).tolist()}')


def _check_voxels(scan_id: str, voxels: np.ndarray) -> Iterator[Problem]:
    low, high = int(voxels.min()), int(voxels.max())
    if low == high:
        yield Problem(ERROR, scan_id, f'empty: every voxel is {low}')
    elif low > AIR_BELOW_HU:
        yield Problem(WARNING, scan_id, f'no air, values from {low} to {high}: is this HU?')
    elif high > METAL_ABOVE_HU:
        yield Problem(WARNING, scan_id, f'values up to {high}: is this HU?')


def _check_lesions(scan: dict, geometry: VolumeGeometry) -> Iterator[Problem]:
    axes = np.reshape(geometry.direction, (3, 3))
    if (np.diag(axes) <= 0).any() or (np.abs(axes).argmax(axis=0) != np.arange(3)).any():
        yield Problem(WARNING, scan['scan_id'], 'the axes are not nearest to LPS, other scans '
                      'will look turned: convert from the original file')
    lesions = [instance for instance in scan['instances'] if not instance['ignore']]
    boxes = instance_boxes(lesions, geometry)
    centers = (boxes[:, :3] + boxes[:, 3:]) / 2
    outside = ((centers < 0) | (centers >= geometry.shape)).any(axis=1)
    seen: set[tuple] = set()
    for lesion, box, is_outside in zip(lesions, boxes, outside, strict=True):
        where = f'lesion at {np.round(lesion["center"], 1).tolist()} mm'
        if is_outside:
            yield Problem(ERROR, scan['scan_id'], f'{where} lies outside the volume')
        if (box[3:] - box[:3]).max() < 1:
            yield Problem(WARNING, scan['scan_id'], f'{where} is smaller than a voxel')
        if max(lesion['size']) > LARGEST_LESION_MM:
            yield Problem(WARNING, scan['scan_id'], f'{where} is {max(lesion["size"]):.0f} mm wide')
        key = (lesion['label'], *np.round(lesion['center'], 1))
        if key in seen:
            yield Problem(WARNING, scan['scan_id'], f'{where} is annotated twice')
        seen.add(key)
