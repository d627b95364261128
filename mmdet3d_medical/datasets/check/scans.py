"""All scans of an index, each volume read once."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mmdet3d_medical.structures import VolumeGeometry

from ..index import volume_path
from ..transforms.loading import instance_boxes, open_volume
from .lesions import check_content, check_places, check_sizes, lesions_of
from .problem import ERROR, WARNING, Problem
from .voxels import check_voxels, sparse

SPACING_FACTOR = 2.0


def check_scans(
    scans: Sequence[dict],
    root: str | Path,
    filled: int | None = None,
    allow_outside: bool = False,
) -> list[Problem]:
    """Check all scans of an index.

    Errors are missing, unreadable or constant volumes, volumes of equal content, lesions outside
    their volume, and lesions where all voxels have one value. Warnings are values that do not look
    like HU, slabs of one value at an end, no lungs in a volume that is large enough for them,
    spacings more than a factor 2 off the median, axes that are not LPS, and lesions that are tiny,
    huge, far from the size of the others, in air, or annotated twice.

    Args:
        scans: Scans of an index that :func:`..index.read_index` accepted.
        root: Folder of the index.
        filled: HU that the converter put outside the lungs: constant slabs of it are right.
        allow_outside: Whether volumes may lie outside the folder. Defaults to False.
    """
    problems = [*_check_spacings(scans), *check_sizes(scans)]
    first_with: dict[str, str] = {}
    for scan in scans:
        try:
            geometry = VolumeGeometry.from_dict(scan['geometry'])
            path = volume_path(root, scan, allow_outside)
            # A plain array, whose slices are made faster than those of a memmap; of a compressed
            # volume all is read, here, and compared with its checksum.
            volume = np.asarray(open_volume(str(path), geometry, scan['scan_id']))
        except (ValueError, TypeError, OSError) as error:
            problems.append(Problem(ERROR, scan['scan_id'], str(error), 'unreadable'))
            continue
        voxels = sparse(volume)
        content = hashlib.sha256(f'{volume.shape}'.encode() + voxels.tobytes()).hexdigest()
        twin = first_with.setdefault(content, scan['scan_id'])
        if twin != scan['scan_id']:
            problems.append(Problem(ERROR, scan['scan_id'], f'same content as {twin}', 'twin'))
        boxes = instance_boxes(lesions_of(scan), geometry)
        problems += check_places(scan, geometry, boxes)
        if voxels.min() == voxels.max():
            message = f'empty: every voxel is {voxels.min()}'
            problems.append(Problem(ERROR, scan['scan_id'], message, 'empty'))
            continue
        problems += check_voxels(scan['scan_id'], volume, voxels, geometry, filled)
        problems += check_content(scan, volume, boxes, filled)
    if scans and not any(scan['instances'] for scan in scans if scan['annotated']):
        problems.append(Problem(WARNING, '', 'no scan has a lesion', 'no lesion'))
    return sorted(problems, key=lambda problem: (problem.level, problem.kind, problem.scan_id))


def _check_spacings(scans: Sequence[dict]) -> Iterator[Problem]:
    found = ((scan['scan_id'], scan['geometry'].get('spacing')) for scan in scans)
    usable = {
        scan_id: spacing
        for scan_id, spacing in found
        if spacing is not None and len(spacing) == 3 and min(spacing) > 0
    }
    if not usable:
        return
    spacings = np.array(list(usable.values()), float)
    median = np.median(spacings, axis=0)
    far = np.abs(np.log(spacings / median)).max(axis=1) > np.log(SPACING_FACTOR)
    for scan_id, spacing in zip(np.array(list(usable))[far], spacings[far], strict=True):
        message = (
            f'spacing (x, y, z) {spacing.round(3).tolist()} mm, '
            f'the median is {median.round(3).tolist()}'
        )
        yield Problem(WARNING, str(scan_id), message, 'spacing')
