"""Which detections lie in the lungs, or near them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from mmdet3d_medical.utils.lungs import coarse_steps, lung_mask


def lung_distance(air: np.ndarray, spacing: Sequence[float]) -> np.ndarray | None:
    """Distance of each voxel from the lungs, 0 inside.

    Args:
        air: As in :func:`~mmdet3d_medical.utils.lungs.lung_mask`, which finds them.
        spacing: Of its voxels (z, y, x) in mm.

    Returns:
        (D, H, W) in mm, or None where there are no lungs.
    """
    mask = lung_mask(air, spacing)
    if mask is None:
        return None
    lungs = sitk.GetImageFromArray(mask.astype(np.uint8))
    lungs.SetSpacing([float(step) for step in spacing[::-1]])
    distance = sitk.SignedMaurerDistanceMap(lungs, squaredDistance=False, useImageSpacing=True)
    return np.maximum(sitk.GetArrayFromImage(distance), 0.0)


def near_lungs(
    boxes: Tensor, volume: Tensor, air_below: float, spacing: Sequence[float], margin: float
) -> Tensor:
    """Whether boxes reach into the lungs or near them.

    A nodule on the pleura has its center as far outside the aerated lung as it is thick.

    Args:
        boxes: (N, 6) in voxels of the scan.
        volume: (C, D, H, W), of which the first channel is the image; it may be a ``LazyScan``.
        air_below: Value of the image between air and tissue.
        spacing: Of the scan (z, y, x) in mm.
        margin: Farthest distance between the lungs and a ball as wide as the box, in mm.

    Returns:
        (N,) bool; all True where no lungs are found, as in a part of a chest.
    """
    steps = coarse_steps(spacing)
    coarse = volume[(slice(None), *(slice(None, None, step) for step in steps))][0]
    size = [step * millimeters for step, millimeters in zip(steps, spacing, strict=True)]
    distance = lung_distance((coarse < air_below).cpu().numpy(), size)
    if distance is None or len(boxes) == 0:
        return torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    centers = ((boxes[:, :3] + boxes[:, 3:]) / 2).cpu().numpy()
    cells = np.clip(np.floor(centers / steps).astype(int), 0, np.array(distance.shape) - 1)
    radii = ((boxes[:, 3:] - boxes[:, :3]).cpu().numpy() * spacing).mean(axis=1) / 2
    return torch.from_numpy(distance[tuple(cells.T)] <= margin + radii).to(boxes.device)
