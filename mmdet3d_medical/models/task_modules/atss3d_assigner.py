"""Adaptive assignment of anchors to lesions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models.task_modules.assigners import AssignResult, BaseAssigner
from mmengine.structures import InstanceData
from torch import Tensor

from mmdet3d_medical.registry import TASK_UTILS
from mmdet3d_medical.structures import box_iou3d


@TASK_UTILS.register_module()
class ATSS3DAssigner(BaseAssigner):
    """Adaptive training sample selection (Zhang et al. 2020, arXiv 1912.02424, algorithm 1), in 3D.

    For each lesion the ``topk`` anchors nearest to its center on each level are candidates. Those
    whose IoU reaches the candidates' mean plus standard deviation are positive. A small lesion
    whose best anchor overlaps by 0.2 thus has positives, which a fixed threshold denies it. The
    anchor's center must lie in the lesion, except for the candidate of the highest IoU: a lesion
    smaller than a cell may hold no center at all. An anchor wanted by several lesions goes to
    the one it overlaps most.

    Args:
        topk: Candidates per level; anchors of a cell share a center, so give at least their number.
        center_inside: Whether an anchor's center must lie in the lesion, as above. False is for
            lesions smaller than a cell; an anchor must then overlap the lesion.
    """

    needs_levels = True  # read by the head: `assign` takes `num_level_priors`

    def __init__(self, topk: int = 9, center_inside: bool = True):
        if topk < 1:
            raise ValueError(f'topk must be >= 1, found {topk}')
        self.topk = topk
        self.center_inside = center_inside

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        num_level_priors: Sequence[int] | None = None,
    ) -> AssignResult:
        """Assign priors to lesions.

        Args:
            pred_instances: With ``priors`` (N, 6).
            gt_instances: With ``bboxes`` (K, 6) and ``labels`` (K,).
            gt_instances_ignore: Not used; the head ignores anchors on such boxes.
            num_level_priors: Number of priors on each level; they add up to N. Default: one level.

        Returns:
            ``gt_inds`` (N,): 0 for background, i + 1 for lesion i; ``max_overlaps`` (N,);
            ``labels`` (N,) with -1 for background.
        """
        priors, boxes = pred_instances.priors, gt_instances.bboxes
        overlaps = box_iou3d(boxes, priors)
        gt_inds = priors.new_zeros(len(priors), dtype=torch.long)
        best = priors.new_zeros(len(priors))
        if len(boxes) and len(priors):
            wanted = self._positives(priors, boxes, overlaps, num_level_priors or [len(priors)])
            best, lesion = torch.where(wanted, overlaps, -torch.ones_like(overlaps)).max(dim=0)
            gt_inds = torch.where(best >= 0, lesion + 1, 0)
            best = best.clamp(min=0)
        labels = torch.full_like(gt_inds, -1)
        labels[gt_inds > 0] = gt_instances.labels[gt_inds[gt_inds > 0] - 1]
        return AssignResult(len(boxes), gt_inds, best, labels=labels)

    def _positives(
        self, priors: Tensor, boxes: Tensor, overlaps: Tensor, num_level_priors: Sequence[int]
    ) -> Tensor:
        """(K, N) bool: the priors each lesion wants."""
        candidates = self._candidates(priors, boxes, num_level_priors)
        ious = overlaps.gather(1, candidates)
        threshold = ious.mean(dim=1, keepdim=True)
        if ious.shape[1] > 1:
            threshold = threshold + ious.std(dim=1, keepdim=True)
        is_best = ious == ious.amax(dim=1, keepdim=True)
        usable = self._has_center(priors[candidates], boxes) if self.center_inside else ious > 0
        chosen = ((ious >= threshold) & usable) | (is_best & (ious > 0))
        return torch.zeros_like(overlaps, dtype=torch.bool).scatter_(1, candidates, chosen)

    @staticmethod
    def _has_center(priors: Tensor, boxes: Tensor) -> Tensor:
        """(K, M) bool: whether the center of a prior (K, M, 6) lies in its box (K, 6)."""
        center = (priors[..., :3] + priors[..., 3:]) / 2
        return ((center > boxes[:, None, :3]) & (center < boxes[:, None, 3:])).all(dim=-1)

    def _candidates(self, priors: Tensor, boxes: Tensor, num_level_priors: Sequence[int]) -> Tensor:
        """(K, <= topk * levels) indices of the nearest priors on each level."""
        centers = (priors[:, :3] + priors[:, 3:]) / 2
        middles = (boxes[:, :3] + boxes[:, 3:]) / 2
        # By differences: the default, by products, confuses near centers far from the origin.
        distances = torch.cdist(middles, centers, compute_mode='donot_use_mm_for_euclid_dist')
        chosen, start = [], 0
        for level in distances.split(list(num_level_priors), dim=1):
            nearest = level.topk(min(self.topk, level.shape[1]), dim=1, largest=False).indices
            chosen.append(nearest + start)
            start += level.shape[1]
        return torch.cat(chosen, dim=1)
