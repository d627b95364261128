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
from .merging import MERGES, merge_boxes3d, weighted_box_clustering3d
from .nms import batched_nms3d, nms3d

__all__ = [
    'MERGES',
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
    'merge_boxes3d',
    'nms3d',
    'weighted_box_clustering3d',
]
