"""Losses on the overlap of decoded boxes."""

from __future__ import annotations

from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor, nn

from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.structures import aligned_box_giou3d, aligned_box_iou3d


@MODELS.register_module()
class BoxIoU3DLoss(nn.Module):
    """1 - IoU or 1 - GIoU of predicted and true boxes (Rezatofighi et al. 2019, arXiv 1902.09630).

    Args:
        mode: ``'giou'``, whose gradient also moves boxes that do not touch, or ``'iou'``.
        reduction: ``'mean'``, ``'sum'`` or ``'none'``.
        loss_weight: Factor of the result.

    Raises:
        ValueError: For another mode.
    """

    on_boxes = True  # read by the head: decoded boxes instead of deltas

    def __init__(self, mode: str = 'giou', reduction: str = 'mean', loss_weight: float = 1.0):
        super().__init__()
        if mode not in ('iou', 'giou'):
            raise ValueError(f"mode must be 'iou' or 'giou', found {mode!r}")
        self.mode = mode
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Loss of boxes.

        Args:
            pred: (N, 6) boxes in voxel edges.
            target: (N, 6) boxes.
            weight: (N,) or (N, 6), of which the mean over the coordinates counts.
            avg_factor: What the sum is divided by for ``'mean'``; default: N.
            reduction_override: Replaces ``reduction`` for this call.
        """
        overlap = aligned_box_giou3d if self.mode == 'giou' else aligned_box_iou3d
        if weight is not None and weight.dim() == 2:
            weight = weight.mean(dim=-1)
        loss = 1 - overlap(pred, target)
        reduction = reduction_override or self.reduction
        return self.loss_weight * weight_reduce_loss(loss, weight, reduction, avg_factor)
