"""What a dense head is trained toward, and how assignment is kept apart from the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from inspect import signature
from typing import Any, Protocol

import torch
from mmdet.utils import reduce_mean
from mmengine.structures import InstanceData
from torch import Tensor


@dataclass
class DenseTargets:
    """Targets of B patches with N priors and C classes.

    Attributes:
        cls: (B, N, C) in [0, 1].
        cls_weight: (B, N); 0 where the prior is ignored.
        box: (B, N, R) regression targets; any value where ``box_weight`` is 0.
        box_weight: (B, N); 0 where there is nothing to regress.
    """

    cls: Tensor
    cls_weight: Tensor
    box: Tensor
    box_weight: Tensor

    def rows(self, index: Tensor | slice) -> DenseTargets:
        """The targets of some of the patches."""
        return DenseTargets(
            self.cls[index], self.cls_weight[index], self.box[index], self.box_weight[index]
        )

    @classmethod
    def cat(cls, parts: Sequence[DenseTargets]) -> DenseTargets:
        """The targets of several batches as those of one."""
        names = [field.name for field in fields(cls)]
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))

    def num_positives(self) -> Tensor:
        """What losses are divided by: priors with target >= 0.5 and weight > 0, over all patches.

        Averaged over processes and at least 1, so that a batch without lesions is legal.
        """
        return self.mean_positives().clamp(min=1)

    def mean_positives(self) -> Tensor:
        """The same number as it is, 0 for a batch without lesions."""
        positive = (self.cls >= 0.5).any(dim=-1) & (self.cls_weight > 0)
        return reduce_mean(positive.sum().float())

    def score_sum(self) -> Tensor:
        """Sum of the targets of priors with weight > 0; averaged and bounded alike."""
        best = self.cls.amax(dim=-1) * (self.cls_weight > 0)
        return reduce_mean(best.sum().float()).clamp(min=1)


class DenseTargetHead(Protocol):
    """A head whose assignment needs no predictions: what FocalMix asks of a detector.

    ``outs`` stands for whatever the head's ``forward`` returns; the first axis of every tensor in
    it is that of the patches.

    ``forward`` may also take ``boxes_of``: it then computes regression outputs of the first so many
    patches, and gives zeros for all others (:func:`predict`).
    """

    def forward(self, feats: Sequence[Tensor]) -> Any:
        """Predict from feature maps."""

    def priors(self, input_shape: Sequence[int]) -> Tensor:
        """(N, 6) boxes in input voxels (cells, for heads without anchors), ordered as flatten."""

    def flatten(self, outs: Any) -> tuple[Tensor, Tensor]:
        """Logits (B, N, C) and regression outputs (B, N, R); R may be 0."""

    def get_targets(
        self, priors: Tensor, gt_instances: Sequence[InstanceData], metas: Sequence[dict]
    ) -> DenseTargets:
        """Targets of each prior from annotations alone, without gradient.

        Each of ``gt_instances`` has ``bboxes`` (K, 6) and ``labels`` (K,), and may have ``scores``
        (K,) in [0, 1], a soft target, and ``ignored`` (K,) bool: neither lesion nor background.
        """

    def loss_by_targets(self, outs: Any, targets: DenseTargets) -> dict[str, Tensor]:
        """Losses; sampling of hard negatives, if any, happens here."""


PROTOCOL = ('forward', 'priors', 'flatten', 'get_targets', 'loss_by_targets')


def missing_of_protocol(head: Any) -> list[str]:
    """Names of :class:`DenseTargetHead` that ``head`` lacks."""
    return [name for name in PROTOCOL if not callable(getattr(head, name, None))]


def predict(head: Any, feats: Sequence[Tensor], boxes_of: int | None = None) -> Any:
    """A head's outputs, without regression outputs that nobody needs where it can leave them out.

    Args:
        head: A :class:`DenseTargetHead`.
        feats: Of B patches.
        boxes_of: Regression outputs are needed of the first so many patches; None: of all.
    """
    if boxes_of is None or 'boxes_of' not in signature(head.forward).parameters:
        return head(feats)
    return head(feats, boxes_of=boxes_of)


def rows_of(outs: Any, rows: slice) -> Any:
    """Some patches of a head's outputs: nested tuples, lists and dicts of tensors (B, ...)."""
    if isinstance(outs, Tensor):
        return outs[rows]
    if isinstance(outs, Mapping):
        return {key: rows_of(value, rows) for key, value in outs.items()}
    if isinstance(outs, tuple) and hasattr(outs, '_fields'):
        return type(outs)(*(rows_of(value, rows) for value in outs))
    if isinstance(outs, (tuple, list)):
        return type(outs)(rows_of(value, rows) for value in outs)
    return outs


def check_labels(labels: Tensor, num_classes: int, scan_id: str | None) -> None:
    """Raise a ``ValueError`` that names the scan where a label (K,) is no class of the head."""
    if len(labels) and int(labels.max()) >= num_classes:
        raise ValueError(
            f'scan {scan_id} has a lesion of class number {int(labels.max())} (counted from 0), '
            f'but the head has num_classes={num_classes}: set model.bbox_head.num_classes to the '
            'number of classes in the index'
        )


def split_ignored(instances: InstanceData) -> tuple[InstanceData, Tensor]:
    """Lesions and the (K, 6) boxes to ignore, told apart by the optional field ``ignored``."""
    if 'ignored' not in instances:
        return instances, instances.bboxes.new_zeros(0, 6)
    ignored = torch.as_tensor(instances.ignored, dtype=torch.bool)
    return instances[~ignored], instances.bboxes[ignored]
