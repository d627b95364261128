"""``findings.nii.gz``: a label map of the boxes on the scan's own grid, label k for finding k."""

import math
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from mmdet3d_medical.inference.findings import Findings
from mmdet3d_medical.utils.files import replacing

NAME = 'findings.nii.gz'


def write(findings: Findings, folder: Path) -> list[Path]:
    """Write the file."""
    image = sitk.GetImageFromArray(label_map(findings))
    geometry = findings.geometry
    image.SetOrigin(geometry.origin)
    image.SetSpacing(geometry.spacing)
    image.SetDirection(geometry.direction)
    with replacing(folder / NAME) as file:
        sitk.WriteImage(image, str(file))
    return [folder / NAME]


def notes(findings: Findings) -> list[str]:
    """Which findings have no voxel, as smaller boxes take all of theirs."""
    labels = label_map(findings)
    boxes = enumerate(box_voxels(findings), start=1)
    hidden = [str(number) for number, box in boxes if not (labels[box] == number).any()]
    if not hidden:
        return []
    which = f'finding{"s" * (len(hidden) > 1)} {", ".join(hidden)}'
    return [f'{NAME} has no voxel of {which}: smaller or surer boxes cover all']


def label_map(findings: Findings) -> np.ndarray:
    """(D, H, W) uint16, label k in the box of finding k.

    Where boxes overlap, it is that of the smallest one, and of equal ones that of the surest: a
    large box keeps voxels where a small one inside it would have none.
    """
    labels = np.zeros(findings.geometry.shape, np.uint16)
    boxes = enumerate(box_voxels(findings), start=1)
    for number, box in sorted(boxes, key=lambda pair: (_size(pair[1]), pair[0]), reverse=True):
        labels[box] = number
    return labels


def _size(box: tuple[slice, slice, slice]) -> int:
    return math.prod(side.stop - side.start for side in box)


def box_voxels(findings: Findings) -> list[tuple[slice, slice, slice]]:
    """The voxels of each box, as indices of an array (D, H, W).

    A voxel belongs to a box if its center lies in it, and the nearest one if none does, as for a
    thin box or one outside the scan: there is always one.
    """
    shape = np.array(findings.geometry.shape)
    voxels = []
    for low, high in findings.boxes().reshape(-1, 2, 3):
        start, stop = np.ceil(low - 0.5), np.ceil(high - 0.5)
        thin = stop <= start
        start = np.where(thin, np.floor((low + high) / 2), start)
        stop = np.where(thin, start + 1, stop)
        start = np.clip(start, 0, shape - 1).astype(int)
        stop = np.clip(stop, 1, shape).astype(int)
        voxels.append(tuple(map(slice, start, stop)))
    return voxels
