"""Boxes as offsets from anchors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models.task_modules.coders import BaseBBoxCoder
from torch import Tensor

from mmdet3d_medical.registry import TASK_UTILS
from mmdet3d_medical.structures import centers_sizes_to_corners, corners_to_centers_sizes


@TASK_UTILS.register_module()
class DeltaBox3DCoder(BaseBBoxCoder):
    r"""Offsets of center and log size (Girshick et al. 2014, arXiv 1311.2524, appendix C, in 3D).

    .. math::

        \delta = \left( \frac{c - c_a}{s_a}, \; \log \frac{s}{s_a} \right)

    with center c and size s in the order z, y, x, those of the anchor with the index a. Then
    ``means`` are subtracted and the result is divided by ``stds``.

    Args:
        means: Six means.
        stds: Six standard deviations, > 0.
        max_ratio: Largest factor between the size of an anchor and of its decoded box. It keeps
            exp() finite in an untrained network; encoding is not limited.
    """

    encode_size = 6

    def __init__(
        self,
        means: Sequence[float] = (0.0,) * 6,
        stds: Sequence[float] = (1.0,) * 6,
        max_ratio: float = 64.0,
    ):
        super().__init__()
        if len(means) != 6 or len(stds) != 6 or min(stds) <= 0 or max_ratio <= 1:
            raise ValueError(
                'expected 6 means, 6 stds > 0 and max_ratio > 1, found '
                f'{means}, {stds} and {max_ratio}'
            )
        self.means = torch.tensor(means)
        self.stds = torch.tensor(stds)
        self.max_log_ratio = float(torch.tensor(max_ratio).log())

    def encode(self, bboxes: Tensor, gt_bboxes: Tensor) -> Tensor:
        """Offsets (N, 6) of boxes ``gt_bboxes`` (N, 6), sides > 0, from ``bboxes`` (N, 6)."""
        center, size = corners_to_centers_sizes(bboxes)
        gt_center, gt_size = corners_to_centers_sizes(gt_bboxes)
        deltas = torch.cat([(gt_center - center) / size, (gt_size / size).log()], dim=-1)
        return (deltas - self.means.to(deltas)) / self.stds.to(deltas)

    def decode(self, bboxes: Tensor, bboxes_pred: Tensor) -> Tensor:
        """Boxes (..., 6) from anchors ``bboxes`` (..., 6) and offsets ``bboxes_pred`` (..., 6)."""
        deltas = bboxes_pred * self.stds.to(bboxes_pred) + self.means.to(bboxes_pred)
        center, size = corners_to_centers_sizes(bboxes)
        log_ratio = deltas[..., 3:].clamp(-self.max_log_ratio, self.max_log_ratio)
        return centers_sizes_to_corners(center + deltas[..., :3] * size, size * log_ratio.exp())

    def __repr__(self) -> str:
        return f'DeltaBox3DCoder(means={self.means.tolist()}, stds={self.stds.tolist()})'
