"""``findings.nii.gz``: a label map of the boxes on the scan's own grid, label k for finding k."""

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


def label_map(findings: Findings) -> np.ndarray:
    """(D, H, W) uint16, label k in the box of finding k; where boxes overlap, of the surest."""
    labels = np.zeros(findings.geometry.shape, np.uint16)
    boxes = box_voxels(findings)
    for number in range(len(boxes), 0, -1):
        labels[boxes[number - 1]] = number
    return labels


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
