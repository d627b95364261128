"""Lung masks as LUNA16 has them: what lies outside of them, and filling it as DeepLung does."""

from pathlib import Path

import cv2
import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from mmdet3d_medical.structures import VolumeGeometry

from .image_io import read_labels
from .lungs import LUNG_LABELS
from .masks import same_grid

MAX_HULL = 1.5  # of the area of a lung in a slice
BONE_HU = 289  # DeepLung's gray value 210 of 255 between -1200 and 600 HU: above it are 290 HU


def fill_outside_lungs(
    image: sitk.Image,
    mask_path: str | Path,
    value: int,
    dilation: int,
    scan: VolumeGeometry | None = None,
) -> sitk.Image | None:
    """Replace all but the lungs and a rim around them.

    In each slice a lung grows to its convex hull, where that is at most 1.5 times as large, and is
    then dilated in 3D. In the rim that this adds, bone is replaced too. As in DeepLung's
    preparation of LUNA16 (github wentaozhu/DeepLung, prepare.py), where ``value`` is 0, its gray
    value 170, and ``dilation`` 10.

    Args:
        image: The CT in HU, int16.
        mask_path: The lung mask, on whatever grid.
        value: HU outside.
        dilation: Voxels, counted by steps over faces.
        scan: Geometry of the scan that the image was cut from, to compare the mask with; ``None``
            if it is whole.

    Returns:
        The image, ``None`` if the mask has no lungs.

    Raises:
        ValueError: If the mask cannot be read, or is not where the scan is.
    """
    labels = _labels_on(image, mask_path, scan or VolumeGeometry.from_sitk(image))
    lungs = np.isin(labels, LUNG_LABELS)
    if not lungs.any():
        return None
    kept = np.logical_or.reduce([_hulls(labels == label) for label in LUNG_LABELS])
    if dilation:
        kept = ndimage.distance_transform_cdt(~kept, 'taxicab') <= dilation
    voxels = sitk.GetArrayFromImage(image)
    voxels[~kept | (~lungs & (voxels > BONE_HU))] = value
    filled = sitk.GetImageFromArray(voxels)
    filled.CopyInformation(image)
    return filled


def count_outside_lungs(mask_path: str | Path, points: np.ndarray) -> int:
    """How many world positions (N, 3) in mm lie in no lung of a mask, or not in the mask at all."""
    mask = read_labels(mask_path)
    size = mask.GetSize()
    indices = [mask.TransformPhysicalPointToIndex(tuple(map(float, point))) for point in points]
    return sum(
        not (
            all(0 <= i < n for i, n in zip(index, size, strict=True)) and mask[index] in LUNG_LABELS
        )
        for index in indices
    )


def _labels_on(image: sitk.Image, mask_path: str | Path, scan: VolumeGeometry) -> np.ndarray:
    """Labels (D, H, W) of the mask on the grid of an image."""
    mask = read_labels(mask_path)
    same_grid(VolumeGeometry.from_sitk(mask), scan, mask_path)
    return sitk.GetArrayFromImage(
        sitk.Resample(mask, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    )


def _hulls(lung: np.ndarray) -> np.ndarray:
    """The convex hull in each slice of a mask (D, H, W), the slice itself where it is too large."""
    return np.stack([_hull(one) if one.any() else one for one in lung])


def _hull(lung: np.ndarray) -> np.ndarray:
    outline = cv2.convexHull(cv2.findNonZero(lung.astype(np.uint8)))
    hull = cv2.fillConvexPoly(np.zeros(lung.shape, np.uint8), outline, 1).astype(bool)
    return hull if hull.sum() <= MAX_HULL * lung.sum() else lung
