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
        positive, negative = _kinds(targets, type(self).__name__)
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
        return _describe(self)


@TASK_UTILS.register_module()
class HardNegativeSampler:
    """A few positives and as many times more negatives, out of a pool of the worst.

    As in nnDetection (Baumgartner et al. 2021, arXiv 2106.00817) and MONAI's detector for LUNA16:
    of each patch at most ``num_samples * positive_fraction`` positives are drawn, and negatives,
    ``1 / positive_fraction - 1`` times as many and at least ``min_negatives``, out of the
    ``pool_size`` times as many with the highest scores. The head's classification loss becomes
    the mean over what was drawn (summed over classes), its box loss the mean over all positives.
    It acts on the weights of targets and needs hard ones. Chance is torch's own.

    Args:
        num_samples: Anchors of a patch at most, unless ``min_negatives`` asks for more.
        positive_fraction: Share of positives in them, where there are enough.
        pool_size: Size of the pool in negatives drawn; 1 takes the very worst.
        min_negatives: Negatives of a patch at least, also of one without positives.

    Raises:
        ValueError: For a fraction outside (0, 1), or less than one positive, pool or negative.
    """

    def __init__(
        self,
        num_samples: int = 64,
        positive_fraction: float = 0.3,
        pool_size: float = 20,
        min_negatives: int = 16,
    ):
        if not 0 < positive_fraction < 1:
            raise ValueError(f'positive_fraction must lie in (0, 1), found {positive_fraction}')
        if min(num_samples * positive_fraction, pool_size, min_negatives) < 1:
            raise ValueError(
                'num_samples * positive_fraction, pool_size and min_negatives must be at least 1, '
                f'found {num_samples} * {positive_fraction}, {pool_size} and {min_negatives}'
            )
        self.num_samples = num_samples
        self.positive_fraction = positive_fraction
        self.pool_size = pool_size
        self.min_negatives = min_negatives

    @torch.no_grad()
    def __call__(self, logits: Tensor, targets: DenseTargets) -> DenseTargets:
        """Weights such that losses, divided by the number of positives, are the means above.

        Args:
            logits: (B, N, C).
            targets: Of the same anchors.

        Raises:
            ValueError: For targets between 0 and 1.
        """
        all_positive, negative = _kinds(targets, type(self).__name__)
        positive = _random(all_positive, self._most_positives)
        wanted = self._num_negatives(positive.sum(dim=1))
        negative = self._out_of_pool(logits.amax(dim=-1), negative, wanted)
        chosen = positive | negative
        kept = replace(targets, cls_weight=chosen.to(targets.cls_weight))
        number = kept.num_positives()  # what the head will divide by
        return replace(
            kept,
            cls_weight=kept.cls_weight * (number / chosen.sum().clamp(min=1)),
            box_weight=kept.box_weight * (number / all_positive.sum().clamp(min=1)),
        )

    @property
    def _most_positives(self) -> int:
        return int(self.num_samples * self.positive_fraction)

    def _num_negatives(self, num_positives: Tensor) -> Tensor:
        number = num_positives.clamp(min=1) * (1 / self.positive_fraction - 1)
        # A little more, as 3 * (1 / 0.3 - 1) is 7 and not 6.9999998.
        return (number + 1e-4).long().clamp(min=self.min_negatives)

    def _out_of_pool(self, scores: Tensor, mask: Tensor, number: Tensor) -> Tensor:
        """A random ``number`` (B,) of each row of a mask (B, N), out of its highest scores."""
        most = self._num_negatives(torch.tensor(self._most_positives))
        size = min(int(most * self.pool_size), mask.shape[1])
        pool = scores.float().masked_fill(~mask, -torch.inf).topk(size, dim=1).indices
        rank = torch.arange(size, device=mask.device)
        usable = (rank < (number * self.pool_size)[:, None]) & mask.gather(1, pool)
        drawn = torch.rand(pool.shape, device=mask.device).masked_fill(~usable, -1)
        order = drawn.argsort(dim=1, descending=True)
        chosen = (rank < number[:, None]) & usable.gather(1, order)
        return torch.zeros_like(mask).scatter_(1, pool.gather(1, order), chosen)

    def __repr__(self) -> str:
        return _describe(self)


def _describe(part: object) -> str:
    settings = ', '.join(f'{key}={value!r}' for key, value in vars(part).items())
    return f'{type(part).__name__}({settings})'


def _kinds(targets: DenseTargets, name: str) -> tuple[Tensor, Tensor]:
    """Positives and negatives (B, N) that are not ignored."""
    _check_hard(targets.cls, name)
    counts = targets.cls_weight > 0
    positive = (targets.cls > 0).any(dim=-1)
    return counts & positive, counts & ~positive


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


def _check_hard(cls: Tensor, name: str) -> None:
    if ((cls > 0) & (cls < 1)).any():
        raise ValueError(
            f'{name} found soft targets (between 0 and 1), which MixUp, guesses of '
            'FocalMix and annotations with a score bring. Set bbox_head.sampler=None and '
            "bbox_head.loss_cls=dict(type='SoftFocalLoss', alpha=(0.25, 0.75)), as the configs in "
            'configs/focalmix do'
        )
