"""The loss of unlabeled patches, and what it is divided by."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmdet3d_medical.registry import MODELS

from ..dense_heads.targets import DenseTargets


@MODELS.register_module()
class OwnPositives(nn.Module):
    """The number of positive priors of the unlabeled patches, at least 1.

    Where few patches show a lesion this is 1 most of the time, while labeled patches are divided
    by several: the unlabeled loss then has several times the weight that is asked for.
    """

    def forward(self, unlabeled: DenseTargets, labeled: DenseTargets | None) -> Tensor:
        return unlabeled.num_positives()


@MODELS.register_module()
class LabeledPositives(nn.Module):
    """A moving average of the positive priors of a labeled patch, times the unlabeled patches.

    Labeled and unlabeled patches then count alike at a weight of 1, whatever is guessed. Detectron2
    divides RetinaNet's loss by such an average for the same reason.

    Args:
        momentum: Weight of the present step in the average, in (0, 1].

    Raises:
        ValueError: For a momentum outside (0, 1].
    """

    def __init__(self, momentum: float = 0.1) -> None:
        super().__init__()
        if not 0 < momentum <= 1:
            raise ValueError(f'expected a momentum in (0, 1], found {momentum}')
        self.momentum = momentum
        self.register_buffer('mean', torch.zeros(()))

    def forward(self, unlabeled: DenseTargets, labeled: DenseTargets | None) -> Tensor:
        if labeled is not None:
            number = labeled.num_positives() / len(labeled.cls)
            self.mean.lerp_(number, self.momentum if self.mean > 0 else 1.0)
        if self.mean == 0:  # there was no labeled patch yet
            return unlabeled.num_positives()
        return (self.mean * len(unlabeled.cls)).clamp(min=1)


@MODELS.register_module()
class ScoreSum(nn.Module):
    """The sum of the targets, at least 1 (Dense Teacher, arXiv 2207.02541, section 3.2)."""

    def forward(self, unlabeled: DenseTargets, labeled: DenseTargets | None) -> Tensor:
        return unlabeled.score_sum()


class UnlabeledLoss(nn.Module):
    """Loss of unlabeled patches.

    Args:
        weight: Factor; ``SemiSupervisedHook`` ramps it up.
        loss: Config of a classification loss, called as ``SoftFocalLoss`` is. Default: the head's
            own losses.
        divide_by: Config of what the sum over priors is divided by: ``LabeledPositives``,
            ``OwnPositives`` or ``ScoreSum``.
    """

    def __init__(
        self,
        weight: float = 1.0,
        loss: dict | None = None,
        divide_by: dict = dict(type='LabeledPositives'),  # noqa: B006 (never changed)
    ) -> None:
        super().__init__()
        self.weight = weight
        self.own = MODELS.build(loss) if loss else None
        self.divide_by = MODELS.build(divide_by)
        self.divisor: Tensor | float = 1.0

    def restart(self) -> None:
        """Forget averages of another training."""
        for average in self.divide_by.buffers():
            average.zero_()

    def forward(
        self, head: nn.Module, outs: Any, targets: DenseTargets, labeled: DenseTargets | None
    ) -> dict[str, Tensor]:
        """Weighted losses, with the prefix ``unsup_``.

        Args:
            head: Of the detector.
            outs: What it predicts for the unlabeled patches.
            targets: What is guessed about them.
            labeled: Targets of the labeled patches of the step, or None.
        """
        divisor = self.divide_by(targets, labeled)
        self.divisor = divisor.detach()
        losses = self.unweighted(head, outs, targets, divisor)
        return {f'unsup_{name}': self.weight * loss for name, loss in losses.items()}

    def unweighted(
        self, head: nn.Module, outs: Any, targets: DenseTargets, divisor: Tensor
    ) -> dict[str, Tensor]:
        """Losses divided by ``divisor``; a head's own ones are divided by positives by the head."""
        if self.own is not None:
            logits, _ = head.flatten(outs)
            loss = self.own(logits, targets.cls, targets.cls_weight, avg_factor=divisor)
            return dict(loss_cls=loss)
        factor = targets.num_positives() / divisor
        losses = head.loss_by_targets(outs, targets)
        return {name: factor * loss for name, loss in losses.items()}
