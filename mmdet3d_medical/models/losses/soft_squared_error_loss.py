"""Squared error of probabilities."""

from __future__ import annotations

import torch
from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor, nn

from mmdet3d_medical.registry import MODELS

from .soft_focal_loss import expand_weight


@MODELS.register_module()
class SoftSquaredErrorLoss(nn.Module):
    r"""Squared error of probabilities p = sigmoid(logit) and targets y in [0, 1].

    .. math::

        L(p, y) = (p - y)^2

    The loss of unlabeled data in MixMatch (Berthelot et al. 2019, arXiv 1905.02249, equation 4)
    and of consistency in Mean Teacher (Tarvainen and Valpola 2017, arXiv 1703.01780). Unlike cross
    entropy it is bounded, so one wrong guess cannot outweigh all else. Both average over all
    outputs; over anchors, of which one in thousands is a lesion, that leaves next to nothing of
    lesions, so here the caller's ``avg_factor`` counts, the number of positive anchors.

    Args:
        reduction: ``'mean'``, ``'sum'`` or ``'none'``.
        loss_weight: Factor of the result.
    """

    def __init__(self, reduction: str = 'mean', loss_weight: float = 1.0):
        super().__init__()
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Loss of logits against soft targets.

        Args:
            logits: (...) any shape and float type; computed in float32 at least.
            targets: The same shape, in [0, 1].
            weight: The same shape, or without the last (class) axis.
            avg_factor: What the sum is divided by for ``'mean'``; default: the number of elements.
            reduction_override: Replaces ``reduction`` for this call.

        Returns:
            A scalar, or a tensor of the logits' shape for ``'none'``.
        """
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        loss = (logits.sigmoid() - targets).square()
        reduction = reduction_override or self.reduction
        weight = expand_weight(weight, logits)
        return self.loss_weight * weight_reduce_loss(loss, weight, reduction, avg_factor)
