"""Focal loss for targets between 0 and 1."""

from __future__ import annotations

import torch
from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor, nn
from torch.nn import functional as F

from mmdet3d_medical.registry import MODELS

SWITCHES = (True, 'threshold', 'linear')


@MODELS.register_module()
class SoftFocalLoss(nn.Module):
    r"""Soft-target focal loss (FocalMix, arXiv 2003.09108, equation 9).

    For a probability p = sigmoid(logit) and a target y in [0, 1]:

    .. math::

        SFL(p, y) &= [a_0 + y (a_1 - a_0)] \; |y - p|^\gamma \; CE(y, p) \\
        CE(y, p) &= -y \log p - (1 - y) \log(1 - p)

    At y = 0 and y = 1 it is the focal loss (arXiv 1708.02002, equation 5) with weight a0 for the
    background and a1 for lesions: RetinaNet's alpha = 0.25 is ``alpha=(0.75, 0.25)``. Its minimum
    over p lies at the target for every y.

    Args:
        alpha: Weights (at y = 0, at y = 1). FocalMix states a1 > a0, chosen by cross-validation,
            but no values.
        gamma: Focusing exponent: 0, or at least 1 (below 1 the gradient is infinite at p = y).
        soft_alpha: The first bracket: True as above; ``'threshold'``: a1 where y >= 0.5, else a0.
        soft_beta: The second factor: True as above; ``'threshold'`` with y rounded at 0.5.
            For both together ``'linear'``: y FL(p, 1) + (1 - y) FL(p, 0), whose minimum is not at
            the target. These are the ablations of the paper's Table 3(a), which does not
            say what replaces the soft terms.
        reduction: ``'mean'``, ``'sum'`` or ``'none'``.
        loss_weight: Factor of the result.

    Raises:
        ValueError: For gamma in (0, 1) or below 0, negative alpha, an unknown switch, or
            ``'linear'`` for one switch only.
    """

    def __init__(
        self,
        alpha: tuple[float, float] = (0.05, 0.95),
        gamma: float = 2.0,
        soft_alpha: bool | str = True,
        soft_beta: bool | str = True,
        reduction: str = 'mean',
        loss_weight: float = 1.0,
    ):
        super().__init__()
        if len(alpha) != 2 or min(alpha) < 0:
            raise ValueError(f'alpha must be two numbers >= 0 (at y = 0, at y = 1), found {alpha}')
        if gamma != 0 and gamma < 1:
            raise ValueError(f'gamma must be 0 or at least 1, found {gamma}')
        _check_switches(soft_alpha, soft_beta)
        self.alpha = tuple(alpha)
        self.gamma = gamma
        self.soft_alpha = soft_alpha
        self.soft_beta = soft_beta
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
        targets = targets.to(logits.dtype)
        weight = expand_weight(weight, logits)
        loss = self._elementwise(logits, targets)
        reduction = reduction_override or self.reduction
        return self.loss_weight * weight_reduce_loss(loss, weight, reduction, avg_factor)

    def _elementwise(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self.soft_alpha == 'linear':
            one, zero = torch.ones_like(targets), torch.zeros_like(targets)
            positive, negative = self._focal(logits, one), self._focal(logits, zero)
            return targets * positive + (1 - targets) * negative
        return self._focal(logits, targets)

    def _focal(self, logits: Tensor, targets: Tensor) -> Tensor:
        hard = (targets >= 0.5).to(targets.dtype)
        y = hard if self.soft_alpha == 'threshold' else targets
        alpha = self.alpha[0] + y * (self.alpha[1] - self.alpha[0])
        y = hard if self.soft_beta == 'threshold' else targets
        distance = (y - logits.sigmoid()).abs()
        entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction='none')
        return alpha * distance.pow(self.gamma) * entropy


def expand_weight(weight: Tensor | None, logits: Tensor) -> Tensor | None:
    """The weight in the shape of the logits, whether or not it has their last (class) axis."""
    if weight is None:
        return None
    weight = weight if weight.dim() == logits.dim() else weight[..., None]
    return weight.expand_as(logits)


def _check_switches(soft_alpha: bool | str, soft_beta: bool | str) -> None:
    for name, value in (('soft_alpha', soft_alpha), ('soft_beta', soft_beta)):
        if value not in SWITCHES:
            raise ValueError(f'{name} must be one of {SWITCHES}, found {value!r}')
    if (soft_alpha == 'linear') != (soft_beta == 'linear'):
        raise ValueError(
            "'linear' replaces both soft terms: set soft_alpha and soft_beta to it, "
            f'found {soft_alpha!r} and {soft_beta!r}'
        )
