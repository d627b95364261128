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
    """(D, H, W) uint16, label k in the box of finding k; where boxes overlap, of the surest.

    A voxel belongs to a box if its center lies in it, and the nearest one if none does.
    """
    shape = np.array(findings.geometry.shape)
    labels = np.zeros(shape, np.uint16)
    boxes = findings.boxes()
    for number in range(len(boxes), 0, -1):
        low, high = boxes[number - 1, :3], boxes[number - 1, 3:]
        start, stop = np.ceil(low - 0.5), np.ceil(high - 0.5)
        thin = stop <= start
        start = np.where(thin, np.floor((low + high) / 2), start)
        stop = np.where(thin, start + 1, stop)
        start, stop = (np.clip(edge, 0, shape).astype(int) for edge in (start, stop))
        labels[tuple(map(slice, start, stop))] = number
    return labels
