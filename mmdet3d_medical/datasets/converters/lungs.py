"""Where the lungs lie in a chest CT."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.lungs import TISSUE_HU, coarse_steps, lung_mask

from .image_io import label_boxes, read_labels
from .masks import same_grid

LUNG_LABELS = (3, 4)  # of LUNA16's lung masks; 5 is the trachea


def lung_box(image: sitk.Image, mask_path: str | Path | None, margin: float) -> np.ndarray | None:
    """Find the bounding box of the lungs, widened by a margin and clipped to the image.

    Args:
        image: The CT, oriented by :func:`.image_io.read_image`.
        mask_path: A lung mask in LUNA16's labels, or ``None`` to segment by threshold.
        margin: In mm, on every side.

    Returns:
        Voxel box (z1, y1, x1, z2, y2, x2), int, or ``None`` where there are no lungs.

    Raises:
        ValueError: If the mask cannot be read, or has the voxels of the image elsewhere.
    """
    geometry = VolumeGeometry.from_sitk(image)
    corners = _segment(image) if mask_path is None else _mask_corners(mask_path, geometry)
    if corners is None:
        return None
    voxels = geometry.world_to_index(corners) + 0.5
    widening = margin / geometry.spacing_zyx
    start = np.floor(voxels.min(axis=0) - widening + 1e-6)
    stop = np.ceil(voxels.max(axis=0) + widening - 1e-6)
    shape = np.array(geometry.shape)
    box = np.concatenate([np.clip(start, 0, shape), np.clip(stop, 0, shape)]).astype(int)
    return box if (box[3:] > box[:3]).all() else None


def _mask_corners(path: str | Path, scan: VolumeGeometry) -> np.ndarray | None:
    mask = read_labels(path)
    same_grid(VolumeGeometry.from_sitk(mask), scan, path)
    boxes = [box for label, box in label_boxes(mask).items() if label in LUNG_LABELS]
    return _world_corners(boxes, VolumeGeometry.from_sitk(mask))


def _segment(image: sitk.Image) -> np.ndarray | None:
    """Corners of the lungs, which are found on a coarse grid."""
    coarse = sitk.Shrink(image, coarse_steps(image.GetSpacing()))
    geometry = VolumeGeometry.from_sitk(coarse)
    mask = lung_mask(sitk.GetArrayViewFromImage(coarse) < TISSUE_HU, geometry.spacing_zyx)
    if mask is None:
        return None
    voxels = np.argwhere(mask)
    box = np.concatenate([voxels.min(axis=0), voxels.max(axis=0) + 1])
    return _world_corners([box], geometry)


def _world_corners(boxes: list[np.ndarray], geometry: VolumeGeometry) -> np.ndarray | None:
    """World positions (8 M, 3) of the corners of M voxel boxes, ``None`` without a box."""
    if not boxes:
        return None
    picks = np.stack(np.meshgrid([0, 3], [1, 4], [2, 5], indexing='ij'), -1).reshape(8, 3)
    return geometry.index_to_world(np.concatenate([box[picks] for box in boxes]) - 0.5)
