"""Overlaps of 3D boxes as mmdet's assigners ask for them."""

from __future__ import annotations

from torch import Tensor

from mmdet3d_medical.registry import TASK_UTILS
from mmdet3d_medical.structures import aligned_box_iou3d, box_iou3d, box_volume3d


@TASK_UTILS.register_module()
class BboxOverlaps3D:
    """IoU calculator for assigners, such as mmdet's ``MaxIoUAssigner``."""

    def __call__(
        self, bboxes1: Tensor, bboxes2: Tensor, mode: str = 'iou', is_aligned: bool = False
    ) -> Tensor:
        """Overlaps of two sets of boxes.

        Args:
            bboxes1: (N, 6) voxel edges.
            bboxes2: (M, 6) voxel edges; M = N where aligned.
            mode: ``'iou'``, or ``'iof'`` for the intersection over the volume of ``bboxes1``.
            is_aligned: Compare row by row.

        Returns:
            (N, M) overlaps in [0, 1], or (N,) where aligned.

        Raises:
            ValueError: For another mode, or ``'iof'`` row by row.
        """
        if mode == 'iou':
            return (aligned_box_iou3d if is_aligned else box_iou3d)(bboxes1, bboxes2)
        if mode == 'iof' and not is_aligned:
            return _iof(bboxes1, bboxes2)
        raise ValueError(f"mode must be 'iou', or 'iof' without is_aligned; found {mode!r}")

    def __repr__(self) -> str:
        return 'BboxOverlaps3D()'


def _iof(bboxes1: Tensor, bboxes2: Tensor) -> Tensor:
    """Intersection over the volume of ``bboxes1``, from IoU = I / (V1 + V2 - I) solved for I."""
    iou = box_iou3d(bboxes1, bboxes2)
    volume = box_volume3d(bboxes1)[:, None]
    intersection = iou / (1 + iou) * (volume + box_volume3d(bboxes2)[None])
    return intersection / volume.clamp(min=1e-6)
