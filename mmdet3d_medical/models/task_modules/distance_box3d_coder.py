"""Boxes as distances from a point to their faces."""

from __future__ import annotations

import math

import torch
from mmdet.models.task_modules.coders import BaseBBoxCoder
from torch import Tensor

from mmdet3d_medical.registry import TASK_UTILS
from mmdet3d_medical.structures import corners_to_centers_sizes


@TASK_UTILS.register_module()
class DistanceBox3DCoder(BaseBBoxCoder):
    r"""Distances from a cell's center to the six faces (FCOS, arXiv 1904.01355, section 3.1).

    .. math::

        \delta = \log \frac{\text{distance}}{\text{side}}

    with the sides of the cell, which are the strides of its level: decoding needs nothing but the
    cell, distances are positive, and those of all levels are of one scale, so that no factor per
    level has to be learned.

    Args:
        max_ratio: Distances are kept between ``side / max_ratio`` and ``side * max_ratio``. A
            center outside the box is thus encoded as if it lay just within the face.
    """

    encode_size = 6

    def __init__(self, max_ratio: float = 64.0):
        super().__init__()
        if max_ratio <= 1:
            raise ValueError(f'max_ratio must be > 1, found {max_ratio}')
        self.max_log_ratio = math.log(max_ratio)

    def encode(self, bboxes: Tensor, gt_bboxes: Tensor) -> Tensor:
        """Deltas (N, 6) of boxes ``gt_bboxes`` (N, 6) from cells ``bboxes`` (N, 6)."""
        center, side = corners_to_centers_sizes(bboxes)
        to_low, to_high = center - gt_bboxes[..., :3], gt_bboxes[..., 3:] - center
        ratios = torch.cat([to_low / side, to_high / side], dim=-1)
        smallest = math.exp(-self.max_log_ratio)
        return ratios.clamp(min=smallest).log().clamp(max=self.max_log_ratio)

    def decode(self, bboxes: Tensor, bboxes_pred: Tensor) -> Tensor:
        """Boxes (..., 6) from cells ``bboxes`` (..., 6) and deltas ``bboxes_pred`` (..., 6)."""
        center, side = corners_to_centers_sizes(bboxes)
        ratios = bboxes_pred.clamp(-self.max_log_ratio, self.max_log_ratio).exp()
        return torch.cat([center - ratios[..., :3] * side, center + ratios[..., 3:] * side], dim=-1)

    def __repr__(self) -> str:
        return f'DistanceBox3DCoder(max_ratio={math.exp(self.max_log_ratio):g})'
