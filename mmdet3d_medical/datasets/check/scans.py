"""All scans of an index, each volume read once."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mmdet3d_medical.structures import VolumeGeometry

from ..index import volume_path
from ..transforms.loading import open_volume
from .lesions import check_content, check_places, check_sizes
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
            # Of a compressed volume all is read, here, and compared with its checksum.
            volume = np.asarray(open_volume(str(path), geometry, scan['scan_id']))
        except (ValueError, TypeError, OSError) as error:
            problems.append(Problem(ERROR, scan['scan_id'], str(error), 'unreadable'))
            continue
        voxels = sparse(volume)
        content = hashlib.sha256(f'{volume.shape}'.encode() + voxels.tobytes()).hexdigest()
        twin = first_with.setdefault(content, scan['scan_id'])
        if twin != scan['scan_id']:
            problems.append(Problem(ERROR, scan['scan_id'], f'same content as {twin}', 'twin'))
        problems += check_places(scan, geometry)
        if voxels.min() == voxels.max():
            message = f'empty: every voxel is {voxels.min()}'
            problems.append(Problem(ERROR, scan['scan_id'], message, 'empty'))
            continue
        problems += check_voxels(scan['scan_id'], volume, voxels, geometry, filled)
        problems += check_content(scan, volume, geometry, filled)
    if scans and not any(scan['instances'] for scan in scans if scan['annotated']):
        problems.append(Problem(WARNING, '', 'no scan has a lesion', 'no lesion'))
    return sorted(problems, key=lambda problem: (problem.level, problem.kind, problem.scan_id))


def _check_spacings(scans: Sequence[dict]) -> Iterator[Problem]:
    spacings = {scan['scan_id']: scan['geometry'].get('spacing') for scan in scans}
    usable = {
        key: np.array(value, float)
        for key, value in spacings.items()
        if value is not None and len(value) == 3 and min(value) > 0
    }
    if not usable:
        return
    median = np.median(list(usable.values()), axis=0)
    for scan_id, spacing in usable.items():
        if np.abs(np.log(spacing / median)).max() > np.log(SPACING_FACTOR):
            message = (
                f'spacing (x, y, z) {spacing.round(3).tolist()} mm, '
                f'the median is {median.round(3).tolist()}'
            )
            yield Problem(WARNING, scan_id, message, 'spacing')
