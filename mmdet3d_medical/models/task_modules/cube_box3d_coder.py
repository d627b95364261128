"""Boxes as a center and one diameter."""

from __future__ import annotations

import math

import torch
from mmdet.models.task_modules.coders import BaseBBoxCoder
from torch import Tensor

from mmdet3d_medical.registry import TASK_UTILS
from mmdet3d_medical.structures import centers_sizes_to_corners, corners_to_centers_sizes


@TASK_UTILS.register_module()
class CubeBox3DCoder(BaseBBoxCoder):
    r"""Offset of the center and log diameter, as in DeepLung (Zhu et al. 2018, arXiv 1801.09555).

    .. math::

        \delta = \left( \frac{c - c_a}{s_a}, \; \log \frac{d}{d_a} \right)

    with center c (z, y, x) and sides s, those of the anchor with the index a. The diameter d of a
    box that is no cube is the geometric mean of its sides, so that its volume stays. Decoded boxes
    are cubes.

    Args:
        max_ratio: Largest factor between the diameters of an anchor and of its decoded box. It
            keeps exp() finite in an untrained network; encoding is not limited.

    Raises:
        ValueError: If ``max_ratio`` is not above 1.
    """

    encode_size = 4

    def __init__(self, max_ratio: float = 64.0):
        super().__init__()
        if max_ratio <= 1:
            raise ValueError(f'max_ratio must be > 1, found {max_ratio}')
        self.max_log_ratio = math.log(max_ratio)

    def encode(self, bboxes: Tensor, gt_bboxes: Tensor) -> Tensor:
        """Deltas (N, 4) of boxes ``gt_bboxes`` (N, 6), sides > 0, from ``bboxes`` (N, 6)."""
        center, size = corners_to_centers_sizes(bboxes)
        gt_center, gt_size = corners_to_centers_sizes(gt_bboxes)
        log_ratio = (gt_size / size).log().mean(dim=-1, keepdim=True)
        return torch.cat([(gt_center - center) / size, log_ratio], dim=-1)

    def decode(self, bboxes: Tensor, bboxes_pred: Tensor) -> Tensor:
        """Cubes (..., 6) from anchors ``bboxes`` (..., 6) and deltas ``bboxes_pred`` (..., 4)."""
        center, size = corners_to_centers_sizes(bboxes)
        ratio = bboxes_pred[..., 3:].clamp(-self.max_log_ratio, self.max_log_ratio).exp()
        diameter = size.log().mean(dim=-1, keepdim=True).exp() * ratio
        center = center + bboxes_pred[..., :3] * size
        return centers_sizes_to_corners(center, diameter.expand_as(center))

    def __repr__(self) -> str:
        return f'CubeBox3DCoder(max_ratio={math.exp(self.max_log_ratio):g})'
