"""Geometry of volumes and plain functions on 3D boxes."""

from .boxes3d import (
    aligned_box_giou3d,
    aligned_box_iou3d,
    box_giou3d,
    box_iou3d,
    box_volume3d,
    centers_sizes_to_corners,
    clip_boxes3d,
    corners_to_centers_sizes,
)
from .geometry import VolumeGeometry
from .nms import batched_nms3d, nms3d

__all__ = [
    'VolumeGeometry',
    'aligned_box_giou3d',
    'aligned_box_iou3d',
    'batched_nms3d',
    'box_giou3d',
    'box_iou3d',
    'box_volume3d',
    'centers_sizes_to_corners',
    'clip_boxes3d',
    'corners_to_centers_sizes',
    'nms3d',
]
