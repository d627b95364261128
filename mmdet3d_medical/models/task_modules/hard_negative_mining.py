"""Which anchors a loss looks at, where there are thousands of negatives to each positive."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mmdet3d_medical.registry import TASK_UTILS

if TYPE_CHECKING:
    from ..dense_heads.targets import DenseTargets


@TASK_UTILS.register_module()
class HardNegativeMining:
    """A few positives, and the worst of a random choice of negatives.

    As in DeepLung (Zhu et al. 2018, arXiv 1801.09555) and DeepSEED (Li and Fan 2020, arXiv
    1904.03501). It acts on the weights of targets and needs hard targets: what is neither
    lesion nor background cannot be mined. Chance is torch's own, as in dropout.

    Args:
        num_candidates: Negatives of each patch that are drawn at random.
        num_negatives: Of all candidates of the batch, those with the highest scores are kept, this
            number times the patches.
        num_positives: Positives of each patch that are drawn at random; None keeps all.
        balance: Let negatives together weigh as much as positives, each kind averaged on its
            own.

    Raises:
        ValueError: For numbers below 1.
    """

    def __init__(
        self,
        num_candidates: int = 800,
        num_negatives: int = 2,
        num_positives: int | None = 1,
        balance: bool = True,
    ):
        numbers = (num_candidates, num_negatives, 1 if num_positives is None else num_positives)
        if min(numbers) < 1:
            raise ValueError(
                'num_candidates, num_negatives and num_positives must be at least 1, found '
                f'{num_candidates}, {num_negatives} and {num_positives}'
            )
        self.num_candidates = num_candidates
        self.num_negatives = num_negatives
        self.num_positives = num_positives
        self.balance = balance

    @torch.no_grad()
    def __call__(self, logits: Tensor, targets: DenseTargets) -> DenseTargets:
        """The targets with the weights of other anchors at 0.

        Args:
            logits: (B, N, C).
            targets: Of the same anchors.

        Raises:
            ValueError: For targets between 0 and 1.
        """
        _check_hard(targets.cls)
        counts = targets.cls_weight > 0
        is_positive = (targets.cls > 0).any(dim=-1)
        positive, negative = counts & is_positive, counts & ~is_positive
        if self.num_positives is not None:
            positive = _random(positive, self.num_positives)
        negative = _random(negative, self.num_candidates)
        negative = _highest(logits.amax(dim=-1), negative, self.num_negatives * len(logits))
        kept = replace(
            targets,
            cls_weight=targets.cls_weight * positive,
            box_weight=targets.box_weight * positive,
        )
        factor = 1.0
        if self.balance:
            factor = kept.num_positives() / negative.sum().clamp(min=1)
        return replace(kept, cls_weight=kept.cls_weight + factor * negative)

    def __repr__(self) -> str:
        settings = ', '.join(f'{key}={value!r}' for key, value in vars(self).items())
        return f'HardNegativeMining({settings})'


def _random(mask: Tensor, number: int) -> Tensor:
    """At most ``number`` of each row (B, N) of a mask."""
    drawn = torch.rand(mask.shape, device=mask.device).masked_fill(~mask, -1)
    chosen = drawn.topk(min(number, mask.shape[1]), dim=1).indices
    return torch.zeros_like(mask).scatter_(1, chosen, True) & mask


def _highest(scores: Tensor, mask: Tensor, number: int) -> Tensor:
    """At most ``number`` of a whole mask (B, N), those of the highest scores (B, N)."""
    scores = scores.float().masked_fill(~mask, -torch.inf).flatten()
    chosen = scores.topk(min(number, len(scores))).indices
    kept = torch.zeros_like(mask).flatten().scatter_(0, chosen, True)
    return kept.view_as(mask) & mask


def _check_hard(cls: Tensor) -> None:
    if ((cls > 0) & (cls < 1)).any():
        raise ValueError(
            'HardNegativeMining found soft targets (between 0 and 1), which MixUp, guesses of '
            'FocalMix and annotations with a score bring. Set bbox_head.sampler=None and '
            "bbox_head.loss_cls=dict(type='SoftFocalLoss', alpha=(0.25, 0.75)), as the configs in "
            'configs/focalmix do'
        )
