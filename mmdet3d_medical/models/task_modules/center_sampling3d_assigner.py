"""Assignment of cells to lesions by where their centers lie."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models.task_modules.assigners import AssignResult, BaseAssigner
from mmengine.structures import InstanceData
from torch import Tensor

from mmdet3d_medical.registry import TASK_UTILS
from mmdet3d_medical.structures import box_volume3d, corners_to_centers_sizes

_SAME = 1e-4  # strides: cells nearer to each other than this are equally near to a lesion


@TASK_UTILS.register_module()
class CenterSampling3DAssigner(BaseAssigner):
    """Cells in the middle of a lesion, on the level of its size (FCOS, arXiv 1904.01355).

    The center sampling is that of the paper's later version. A lesion belongs to the first level
    on which it spans at most ``max_cells`` cells along each axis, else to the last. There it gets
    the cells whose centers lie in it and less than ``radius`` strides from its own center along
    each axis; where there is none, the nearest cell, or all of the nearest, so that
    assignment commutes with mirroring. A cell that several lesions want goes to the smallest.
    Ignored boxes take cells as lesions do.

    Args:
        radius: In strides, > 0.
        max_cells: In strides, > 0; with more, lesions are found on finer levels.

    Raises:
        ValueError: For values outside these ranges.
    """

    needs_levels = True  # read by the head: `assign` takes `num_level_priors`

    def __init__(self, radius: float = 1.5, max_cells: float = 4.0):
        if min(radius, max_cells) <= 0:
            raise ValueError(f'radius and max_cells must be > 0, found {radius} and {max_cells}')
        self.radius = radius
        self.max_cells = max_cells

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        num_level_priors: Sequence[int] | None = None,
    ) -> AssignResult:
        """Assign cells to lesions.

        Args:
            pred_instances: With ``priors`` (N, 6), cells whose sides are the strides.
            gt_instances: With ``bboxes`` (K, 6) and ``labels`` (K,).
            gt_instances_ignore: With ``bboxes``, neither lesions nor background.
            num_level_priors: Number of priors on each level, from fine to coarse; they add up to
                N. Default: one level.

        Returns:
            ``gt_inds`` (N,): 0 for background, -1 for ignored, i + 1 for lesion i;
            ``max_overlaps`` (N,): 1 on lesions, else 0; ``labels`` (N,), -1 without a lesion.
        """
        priors, boxes = pred_instances.priors, gt_instances.bboxes
        counts = list(num_level_priors or [len(priors)])
        gt_inds = priors.new_zeros(len(priors), dtype=torch.long)
        if gt_instances_ignore is not None and len(priors):
            gt_inds[self._wanted(priors, gt_instances_ignore.bboxes, counts).any(dim=0)] = -1
        if len(boxes) and len(priors):
            wanted = self._wanted(priors, boxes, counts)
            volume = box_volume3d(boxes)[:, None].expand_as(wanted)
            smallest, lesion = volume.masked_fill(~wanted, torch.inf).min(dim=0)
            gt_inds = torch.where(smallest < torch.inf, lesion + 1, gt_inds)
        positive = gt_inds > 0
        labels = torch.full_like(gt_inds, -1)
        labels[positive] = gt_instances.labels[gt_inds[positive] - 1]
        return AssignResult(len(boxes), gt_inds, positive.to(priors.dtype), labels=labels)

    def _wanted(self, priors: Tensor, boxes: Tensor, counts: list[int]) -> Tensor:
        """(K, N) bool: the cells each box wants."""
        centers, strides = corners_to_centers_sizes(priors)
        middles, sizes = corners_to_centers_sizes(boxes)
        offsets = (centers - middles[:, None]).abs()
        inside = (offsets < sizes[:, None] / 2).all(dim=-1)
        offsets = offsets / strides
        own_level = self._on_own_level(sizes, strides, counts)
        wanted = own_level & inside & (offsets < self.radius).all(dim=-1)
        distance = offsets.norm(dim=-1).masked_fill(~own_level, torch.inf)
        nearest = distance <= distance.amin(dim=1, keepdim=True) + _SAME
        return torch.where(wanted.any(dim=1, keepdim=True), wanted, nearest)

    def _on_own_level(self, sizes: Tensor, strides: Tensor, counts: list[int]) -> Tensor:
        """(K, N) bool: the cell is on the level of the box."""
        number = torch.tensor(counts, device=strides.device)
        of_level = strides[number.cumsum(0) - 1]
        too_large = (sizes[:, None] > self.max_cells * of_level).any(dim=-1)
        level = too_large.sum(dim=1).clamp(max=len(counts) - 1)
        levels = torch.arange(len(counts), device=level.device).repeat_interleave(number)
        return level[:, None] == levels
