"""What heads on volumes share: all but the layers that predict."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor

from mmdet3d_medical.registry import MODELS, TASK_UTILS

from ..task_modules import BboxOverlaps3D
from .targets import DenseTargets, check_labels, split_ignored

Outs = tuple[list[Tensor], list[Tensor]]


class Anchor3DHead(BaseModule):
    """Targets and losses of a head that classifies and refines the anchors of each cell.

    A subclass adds layers, in numbers of :attr:`num_anchors` and :attr:`num_deltas`, and a
    ``forward`` that gives class logits [(B, A * C, d, h, w)] and box deltas [(B, A * R, d, h, w)]
    of each level. It then meets :class:`~mmdet3d_medical.models.dense_heads.DenseTargetHead`.

    Args:
        num_classes: Number of lesion classes C; each has a sigmoid of its own.
        anchor_generator: Config of an ``Anchor3DGenerator``; every level must have equally many
            anchors A per cell.
        loss_cls: Classification loss, called with soft targets.
        loss_bbox: Loss of box deltas, or of decoded boxes where it has ``on_boxes = True``.
        assigner: An assigner by overlap: ``ATSS3DAssigner`` or ``mmdet.MaxIoUAssigner`` with
            ``iou_calculator=dict(type='mmdet3d_medical.BboxOverlaps3D')``.
        bbox_coder: Coder of boxes; its ``encode_size`` is the number R of deltas. None predicts no
            boxes: R = 0, there is no ``loss_bbox``, and detections are the anchors themselves.
        sampler: Config of ``HardNegativeMining`` or another part that, called with logits (B, N, C)
            and targets, gives targets with fewer weights. Default: all anchors count.
        ignore_iof: An anchor of which more than this share lies in an ignored box is ignored,
            unless it is assigned to a lesion.
        init_cfg: As in mmengine's ``BaseModule``.

    Raises:
        ValueError: For levels with different numbers of anchors, or a loss of decoded boxes with a
            coder of other than six numbers.
    """

    def __init__(
        self,
        num_classes: int,
        anchor_generator: dict,
        loss_cls: dict,
        loss_bbox: dict | None,
        assigner: dict,
        bbox_coder: dict | None = dict(type='DeltaBox3DCoder'),  # noqa: B006 (never changed)
        sampler: dict | None = None,
        ignore_iof: float = 0.5,
        init_cfg: dict | list | None = None,
    ):
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.ignore_iof = ignore_iof
        self.anchors = TASK_UTILS.build(anchor_generator)
        self.bbox_coder = TASK_UTILS.build(bbox_coder) if bbox_coder else None
        self.assigner = TASK_UTILS.build(assigner)
        self.sampler = TASK_UTILS.build(sampler) if sampler else None
        self.loss_cls = MODELS.build(loss_cls)
        self.loss_bbox = MODELS.build(loss_bbox) if bbox_coder else None
        self.num_anchors = _anchors_per_cell(self.anchors.num_base_priors)
        self.num_deltas = self.bbox_coder.encode_size if bbox_coder else 0
        self._on_boxes = getattr(self.loss_bbox, 'on_boxes', False)
        if self._on_boxes and self.num_deltas != 6:
            raise ValueError(
                f'{type(self.loss_bbox).__name__} compares boxes of six numbers, but '
                f'{type(self.bbox_coder).__name__} codes {self.num_deltas}: use a loss of deltas, '
                'such as mmdet.SmoothL1Loss'
            )

    @property
    def max_stride(self) -> tuple[int, int, int]:
        """Largest stride (z, y, x); tiles of a scan start at its multiples."""
        return self.anchors.max_stride

    def priors(self, input_shape: Sequence[int]) -> Tensor:
        """Anchors (N, 6) of an input (D, H, W), in the order of :meth:`flatten`."""
        sizes = self.anchors.featmap_sizes(input_shape)
        return torch.cat(self.anchors.grid_priors(sizes, next(self.parameters()).device))

    def flatten(self, outs: Outs) -> tuple[Tensor, Tensor]:
        """Logits (B, N, C) and deltas (B, N, R): levels in turn, each by z, y, x and anchor."""
        logits, deltas = outs
        flat = _flat(logits, self.num_classes)
        if not self.num_deltas:
            return flat, flat.new_zeros(*flat.shape[:2], 0)
        return flat, _flat(deltas, self.num_deltas)

    @torch.no_grad()
    def get_targets(
        self, priors: Tensor, gt_instances: Sequence[InstanceData], metas: Sequence[dict]
    ) -> DenseTargets:
        """Targets of anchors, see :class:`DenseTargetHead`.

        Args:
            priors: (N, 6) from :meth:`priors`.
            gt_instances: Of each patch.
            metas: Of each patch, with ``batch_input_shape`` (D, H, W), which tells the levels
                apart.
        """
        rows = [
            self._targets_of_one(priors, instances.to(priors.device), meta)
            for instances, meta in zip(gt_instances, metas, strict=True)
        ]
        return DenseTargets(*(torch.stack(part) for part in zip(*rows, strict=True)))

    def _targets_of_one(
        self, priors: Tensor, instances: InstanceData, meta: dict
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        lesions, ignored = split_ignored(instances)
        check_labels(lesions.labels, self.num_classes, meta.get('scan_id'))
        lesion = self._assign(priors, lesions, ignored, meta)
        cls = priors.new_zeros(len(priors), self.num_classes)
        cls_weight = (lesion >= 0).to(priors.dtype)
        box = priors.new_zeros(len(priors), self.num_deltas)
        positive = lesion > 0
        index = lesion[positive] - 1
        scores = lesions.scores[index].to(cls) if 'scores' in lesions else 1.0
        cls[positive, lesions.labels[index]] = scores
        if self.num_deltas:
            box[positive] = self._encode(priors[positive], lesions.bboxes[index])
        if len(ignored):
            covered = BboxOverlaps3D()(priors, ignored, mode='iof').amax(dim=1)
            cls_weight[(covered > self.ignore_iof) & ~positive] = 0
        return cls, cls_weight, box, positive.to(priors.dtype)

    def _assign(self, priors: Tensor, lesions: InstanceData, ignored: Tensor, meta: dict) -> Tensor:
        """(N,): index of the lesion + 1, 0 for background, -1 for ignored."""
        sizes = self.anchors.featmap_sizes(meta['batch_input_shape'])
        counts = [d * h * w * self.num_anchors for d, h, w in sizes]
        candidates, ignored = InstanceData(priors=priors), InstanceData(bboxes=ignored)
        takes_levels = getattr(self.assigner, 'needs_levels', False)
        extra = dict(num_level_priors=counts) if takes_levels else {}
        return self.assigner.assign(candidates, lesions, ignored, **extra).gt_inds

    def _encode(self, priors: Tensor, boxes: Tensor) -> Tensor:
        return boxes if self._on_boxes else self.bbox_coder.encode(priors, boxes)

    def loss_by_targets(self, outs: Outs, targets: DenseTargets) -> dict[str, Tensor]:
        """``loss_cls`` and ``loss_bbox``, both divided by the number of positive anchors."""
        logits, deltas = self.flatten(outs)
        if self.sampler is not None:
            targets = self.sampler(logits, targets)
        number = targets.num_positives()
        loss_cls = self.loss_cls(logits, targets.cls, targets.cls_weight, avg_factor=number)
        if not self.num_deltas:
            return dict(loss_cls=loss_cls)
        chosen = targets.box_weight > 0
        # Empty without lesions: the sum is then 0 and still reaches every weight, as DDP needs.
        pred, weight = deltas[chosen].float(), targets.box_weight[chosen]
        if self._on_boxes:
            pred = self.bbox_coder.decode(self._priors_of(chosen, outs), pred)
        loss_bbox = self.loss_bbox(
            pred, targets.box[chosen], weight[:, None].expand_as(pred), avg_factor=number
        )
        return dict(loss_cls=loss_cls, loss_bbox=loss_bbox)

    def _priors_of(self, chosen: Tensor, outs: Outs) -> Tensor:
        sizes = [tuple(level.shape[2:]) for level in outs[0]]
        priors = torch.cat(self.anchors.grid_priors(sizes, chosen.device))
        return priors.expand(len(chosen), -1, -1)[chosen]

    def decode(self, priors: Tensor, deltas: Tensor) -> Tensor:
        """Boxes (..., 6) in voxel edges from priors (..., 6) and deltas (..., R)."""
        return self.bbox_coder.decode(priors, deltas.float()) if self.num_deltas else priors


def _flat(levels: Sequence[Tensor], width: int) -> Tensor:
    """[(B, A * width, d, h, w)] -> (B, sum of d * h * w * A, width)."""
    return torch.cat(
        [x.permute(0, 2, 3, 4, 1).reshape(x.shape[0], -1, width) for x in levels], dim=1
    )


def _anchors_per_cell(numbers: Sequence[int]) -> int:
    if len(set(numbers)) != 1:
        raise ValueError(
            f'the levels share a head, so each needs equally many anchors per cell; found {numbers}'
        )
    return numbers[0]
