"""Steps from the mean probability of a prior to its target.

A step takes targets (B, N, C) in [0, 1] and weights (B, N), and gives both. They are applied in the
order of a list.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmdet3d_medical.registry import TASK_UTILS

Pair = tuple[Tensor, Tensor]


def sharpen(p: Tensor, temperature: float, center: float = 0.5) -> Tensor:
    r"""Move probabilities away from the center (FocalMix, arXiv 2003.09108, equation 4).

    With the logistic function :math:`\sigma` the equation is

    .. math::

        \frac{p^{1/T}}{p^{1/T} + (1 - p)^{1/T}} = \sigma(\sigma^{-1}(p) / T),

    which does not underflow at small T. About another center c it is

    .. math::

        \sigma\left( \frac{\sigma^{-1}(p) - \sigma^{-1}(c)}{T} + \sigma^{-1}(c) \right).

    Args:
        p: Probabilities, any shape.
        temperature: T >= 0. 1 leaves p as it is, 0 gives 0 below the center and 1 above.
        center: The probability that stays where it is, in (0, 1).
    """
    if temperature == 1:
        return p
    if temperature == 0:
        return torch.where(p == center, p, (p > center).to(p.dtype))
    middle = torch.logit(torch.tensor(center, dtype=p.dtype, device=p.device))
    return torch.sigmoid((torch.logit(p) - middle) / temperature + middle)


@TASK_UTILS.register_module()
class Sharpen:
    """:func:`sharpen` as a step. The paper names no value of T.

    Raises:
        ValueError: Unless temperature >= 0 and 0 < center < 1.
    """

    def __init__(self, temperature: float = 0.7, center: float = 0.5) -> None:
        if not (temperature >= 0 and 0 < center < 1):
            raise ValueError(
                f'expected temperature >= 0 and 0 < center < 1, found {temperature} and {center}'
            )
        self.temperature = temperature
        self.center = center

    def __call__(self, cls: Tensor, weight: Tensor) -> Pair:
        return sharpen(cls, self.temperature, self.center), weight


@TASK_UTILS.register_module()
class Threshold(Sharpen):
    """Hard targets: 1 above the value, 0 below, as sharpening with T = 0 gives.

    Raises:
        ValueError: Unless 0 < value < 1.
    """

    def __init__(self, value: float = 0.5) -> None:
        super().__init__(0.0, value)


@TASK_UTILS.register_module()
class IgnoreRange:
    """Leave out priors whose likeliest class is neither sure nor surely absent.

    Stands before steps that change probabilities.

    Args:
        low: Up to this probability a prior counts as background.
        high: From this probability on it counts as a lesion.

    Raises:
        ValueError: Unless 0 <= low <= high <= 1.
    """

    def __init__(self, low: float, high: float) -> None:
        if not 0 <= low <= high <= 1:
            raise ValueError(f'expected 0 <= low <= high <= 1, found low={low} and high={high}')
        self.low = low
        self.high = high

    def __call__(self, cls: Tensor, weight: Tensor) -> Pair:
        best = cls.amax(dim=-1)
        sure = (best <= self.low) | (best >= self.high)
        return cls, weight * sure.to(weight.dtype)


@TASK_UTILS.register_module()
class TopK:
    """Keep the targets of the best priors of each patch; those of all others become 0.

    Dense Teacher (Zhou et al. 2022, arXiv 2207.02541) learns the best 1 % of an image.

    Args:
        share: Of the priors of a patch, in (0, 1]; at least one is kept.

    Raises:
        ValueError: For a share outside (0, 1].
    """

    def __init__(self, share: float = 0.01) -> None:
        if not 0 < share <= 1:
            raise ValueError(f'expected 0 < share <= 1, found {share}')
        self.share = share

    def __call__(self, cls: Tensor, weight: Tensor) -> Pair:
        best = cls.amax(dim=-1)
        number = max(round(self.share * best.shape[1]), 1)
        kept = torch.zeros_like(best).scatter_(1, best.topk(number, dim=1).indices, 1.0)
        return cls * kept[..., None], weight
