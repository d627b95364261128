"""Assignment of cells that tile a volume to the lesions in them."""

from __future__ import annotations

import torch
from mmdet.models.task_modules.assigners import AssignResult, BaseAssigner
from mmengine.structures import InstanceData
from torch import Tensor

from mmdet3d_medical.registry import TASK_UTILS

_SAME = 1e-4  # shares: cells that hold almost as much hold the same


@TASK_UTILS.register_module()
class Cell3DAssigner(BaseAssigner):
    """Cells that contain a lesion are positive, as in S4ND (arXiv 1805.02279).

    Of a small lesion a cell can hold all, of a lesion larger than the cell along an axis as much as
    the cell is long there. The cell contains the lesion if it holds at least ``min_share`` of what
    it could; where none does, those do that hold most. A cell that thus contains several lesions
    goes to the one of which it holds most. Ignored boxes take cells as lesions do.

    Args:
        min_share: In (0, 1]. The paper says only "contains"; above 0.5 one cell of a slice contains
            a small lesion.

    Raises:
        ValueError: For a value outside this range.
    """

    def __init__(self, min_share: float = 0.5):
        if not 0 < min_share <= 1:
            raise ValueError(f'min_share must be in (0, 1], found {min_share}')
        self.min_share = min_share

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
    ) -> AssignResult:
        """Assign cells to lesions.

        Args:
            pred_instances: With ``priors`` (N, 6), the cells.
            gt_instances: With ``bboxes`` (K, 6) and ``labels`` (K,).
            gt_instances_ignore: With ``bboxes``, neither lesions nor background.

        Returns:
            ``gt_inds`` (N,): 0 for background, -1 for ignored, i + 1 for lesion i;
            ``max_overlaps`` (N,): the share; ``labels`` (N,), -1 without a lesion.
        """
        priors, boxes = pred_instances.priors, gt_instances.bboxes
        gt_inds = priors.new_zeros(len(priors), dtype=torch.long)
        best = priors.new_zeros(len(priors))
        if gt_instances_ignore is not None:
            gt_inds[self._contained(priors, gt_instances_ignore.bboxes)[1].any(dim=0)] = -1
        if len(boxes):
            share, contained = self._contained(priors, boxes)
            best, lesion = torch.where(contained, share, 0).max(dim=0)
            gt_inds = torch.where(best > 0, lesion + 1, gt_inds)
        positive = gt_inds > 0
        labels = torch.full_like(gt_inds, -1)
        labels[positive] = gt_instances.labels[gt_inds[positive] - 1]
        return AssignResult(len(boxes), gt_inds, best, labels=labels)

    def _contained(self, priors: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """(K, N) shares of the boxes that the cells hold, and bool: whether they contain them."""
        boxes = boxes[:, None]
        low, high = torch.maximum(boxes, priors)[..., :3], torch.minimum(boxes, priors)[..., 3:]
        sizes = torch.minimum(boxes[..., 3:] - boxes[..., :3], priors[:, 3:] - priors[:, :3])
        share = ((high - low).clamp(min=0) / sizes).prod(dim=-1)
        enough = share >= self.min_share - _SAME
        most = (share >= share.amax(dim=1, keepdim=True) - _SAME) & (share > 0)
        return share, torch.where(enough.any(dim=1, keepdim=True), enough, most)
