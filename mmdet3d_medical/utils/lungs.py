"""Lungs by threshold, on a coarse grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk

TISSUE_HU = -500  # halfway between aerated lung and soft tissue
COARSE_MM = 4.0
MIN_LUNG_ML = 50.0


def coarse_steps(spacing: Sequence[float]) -> list[int]:
    """Every how many voxels along each axis are enough to find lungs."""
    return [max(1, int(COARSE_MM / step)) for step in spacing]


def lung_mask(air: np.ndarray, spacing: Sequence[float]) -> np.ndarray | None:
    """Connected spaces of air of 50 ml or more that reach no side of the slices.

    The air around the patient reaches the sides, the bowel is smaller.

    Args:
        air: (D, H, W) bool, below ``TISSUE_HU``.
        spacing: Of its voxels (z, y, x) in mm.

    Returns:
        (D, H, W) bool, or None where there are none, as in a part of a chest.
    """
    smallest = int(MIN_LUNG_ML * 1000 / np.prod(spacing)) + 1
    parts = sitk.ConnectedComponent(sitk.GetImageFromArray(air.astype(np.uint8)))
    labels = sitk.GetArrayFromImage(sitk.RelabelComponent(parts, smallest))
    sides = {*np.unique(labels[:, [0, -1]]), *np.unique(labels[:, :, [0, -1]])}
    inner = [label for label in range(1, int(labels.max()) + 1) if label not in sides]
    return np.isin(labels, inner) if inner else None
