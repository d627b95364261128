"""Anchor-based head with one branch for classes and one for boxes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmdet3d_medical.registry import MODELS, TASK_UTILS

from ..task_modules import BboxOverlaps3D
from .targets import DenseTargets, check_labels, split_ignored

Outs = tuple[list[Tensor], list[Tensor]]


@MODELS.register_module()
class Retina3DHead(BaseModule):
    """RetinaNet's head (Lin et al. 2017, arXiv 1708.02002, section 4) on volumes.

    Both branches are shared by all levels. Meets
    :class:`~mmdet3d_medical.models.dense_heads.DenseTargetHead`.

    Args:
        num_classes: Number of lesion classes; each has a sigmoid of its own.
        in_channels: Channels of the feature maps.
        anchor_generator: Config of an ``Anchor3DGenerator``; every level must have equally many
            anchors per cell.
        loss_cls: Classification loss, called with soft targets.
        loss_bbox: Loss of box deltas, or of decoded boxes where it has ``on_boxes = True``.
        assigner: An assigner by overlap: ``ATSS3DAssigner`` or ``mmdet.MaxIoUAssigner`` with
            ``iou_calculator=dict(type='mmdet3d_medical.BboxOverlaps3D')``.
        bbox_coder: Coder of boxes.
        feat_channels: Width of the branches.
        stacked_convs: Convolutions per branch before the last one.
        norm_cfg: Normalisation in the branches. Batch normalisation is refused where several
            levels share the branches: their statistics differ, so training works and then
            evaluation with the running mean fails.
        prior_prob: Probability that the untrained head gives every anchor.
        ignore_iof: An anchor of which more than this share lies in an ignored box is ignored,
            unless it is assigned to a lesion.
        init_cfg: As in mmengine's ``BaseModule``.

    Raises:
        ValueError: For batch normalisation over several levels, or levels with different
            numbers of anchors.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        anchor_generator: dict,
        loss_cls: dict,
        loss_bbox: dict,
        assigner: dict,
        bbox_coder: dict = dict(type='DeltaBox3DCoder'),  # noqa: B006 (never changed)
        feat_channels: int = 256,
        stacked_convs: int = 4,
        norm_cfg: dict | None = None,
        prior_prob: float = 0.01,
        ignore_iof: float = 0.5,
        init_cfg: dict | list | None = None,
    ):
        init_cfg = init_cfg or _default_init(prior_prob)
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.ignore_iof = ignore_iof
        self.anchors = TASK_UTILS.build(anchor_generator)
        self.bbox_coder = TASK_UTILS.build(bbox_coder)
        self.assigner = TASK_UTILS.build(assigner)
        self.loss_cls = MODELS.build(loss_cls)
        self.loss_bbox = MODELS.build(loss_bbox)
        _check_shared_norm(norm_cfg, self.anchors.num_levels)
        per_cell = _anchors_per_cell(self.anchors.num_base_priors)
        self.cls_branch = _branch(in_channels, feat_channels, stacked_convs, norm_cfg)
        self.box_branch = _branch(in_channels, feat_channels, stacked_convs, norm_cfg)
        channels = feat_channels if stacked_convs else in_channels
        self.classify = nn.Conv3d(channels, per_cell * num_classes, 3, padding=1)
        self.regress = nn.Conv3d(channels, per_cell * 6, 3, padding=1)

    @property
    def max_stride(self) -> tuple[int, int, int]:
        """Largest stride (z, y, x); tiles of a scan start at its multiples."""
        return self.anchors.max_stride

    def forward(self, feats: Sequence[Tensor]) -> Outs:
        """Class logits [(B, A * C, d, h, w)] and box deltas [(B, A * 6, d, h, w)] of each level."""
        logits = [self.classify(self.cls_branch(x)) for x in feats]
        deltas = [self.regress(self.box_branch(x)) for x in feats]
        return logits, deltas

    def priors(self, input_shape: Sequence[int]) -> Tensor:
        """Anchors (N, 6) of an input (D, H, W), in the order of :meth:`flatten`."""
        sizes = self.anchors.featmap_sizes(input_shape)
        return torch.cat(self.anchors.grid_priors(sizes, self.classify.weight.device))

    def flatten(self, outs: Outs) -> tuple[Tensor, Tensor]:
        """Logits (B, N, C) and deltas (B, N, 6): levels in turn, each by z, y, x and anchor."""
        logits, deltas = outs
        return _flat(logits, self.num_classes), _flat(deltas, 6)

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
        box = torch.zeros_like(priors)
        positive = lesion > 0
        index = lesion[positive] - 1
        scores = lesions.scores[index].to(cls) if 'scores' in lesions else 1.0
        cls[positive, lesions.labels[index]] = scores
        box[positive] = self._encode(priors[positive], lesions.bboxes[index])
        if len(ignored):
            covered = BboxOverlaps3D()(priors, ignored, mode='iof').amax(dim=1)
            cls_weight[(covered > self.ignore_iof) & ~positive] = 0
        return cls, cls_weight, box, positive.to(priors.dtype)

    def _assign(
        self, priors: Tensor, lesions: InstanceData, ignored: Tensor, meta: dict
    ) -> Tensor:
        """(N,): index of the lesion + 1, 0 for background, -1 for ignored."""
        sizes = self.anchors.featmap_sizes(meta['batch_input_shape'])
        levels = zip(sizes, self.anchors.num_base_priors, strict=True)
        counts = [d * h * w * per_cell for (d, h, w), per_cell in levels]
        candidates, ignored = InstanceData(priors=priors), InstanceData(bboxes=ignored)
        takes_levels = getattr(self.assigner, 'needs_levels', False)
        extra = dict(num_level_priors=counts) if takes_levels else {}
        return self.assigner.assign(candidates, lesions, ignored, **extra).gt_inds

    def _encode(self, priors: Tensor, boxes: Tensor) -> Tensor:
        on_boxes = getattr(self.loss_bbox, 'on_boxes', False)
        return boxes if on_boxes else self.bbox_coder.encode(priors, boxes)

    def loss_by_targets(self, outs: Outs, targets: DenseTargets) -> dict[str, Tensor]:
        """``loss_cls`` and ``loss_bbox``, both divided by the number of positive anchors."""
        logits, deltas = self.flatten(outs)
        number = targets.num_positives()
        loss_cls = self.loss_cls(logits, targets.cls, targets.cls_weight, avg_factor=number)
        chosen = targets.box_weight > 0
        # Empty without lesions: the sum is then 0 and still reaches every weight, as DDP needs.
        pred, weight = deltas[chosen].float(), targets.box_weight[chosen]
        if getattr(self.loss_bbox, 'on_boxes', False):
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
        """Boxes (..., 6) in voxel edges from priors (..., 6) and deltas (..., 6)."""
        return self.bbox_coder.decode(priors, deltas.float())


def _default_init(prior_prob: float) -> dict:
    """Branches that keep the scale of activations at any width; outputs near the prior."""
    last = dict(type='Normal', std=0.01)
    return dict(
        type='Kaiming',
        layer='Conv3d',
        override=[
            dict(name='classify', bias_prob=prior_prob, **last),
            dict(name='regress', **last),
        ],
    )


def _flat(levels: Sequence[Tensor], width: int) -> Tensor:
    """[(B, A * width, d, h, w)] -> (B, sum of d * h * w * A, width)."""
    return torch.cat(
        [x.permute(0, 2, 3, 4, 1).reshape(len(x), -1, width) for x in levels], dim=1
    )


def _branch(in_channels: int, width: int, number: int, norm_cfg: dict | None) -> nn.Sequential:
    part = dict(padding=1, conv_cfg=dict(type='Conv3d'), norm_cfg=norm_cfg)
    return nn.Sequential(
        *(ConvModule(width if i else in_channels, width, 3, **part) for i in range(number))
    )


def _check_shared_norm(norm_cfg: dict | None, num_levels: int) -> None:
    if norm_cfg and 'BN' in norm_cfg['type'] and num_levels > 1:
        raise ValueError(
            f"norm_cfg={norm_cfg['type']!r} in a head that {num_levels} levels share fails in "
            "evaluation: use dict(type='GN', num_groups=8) or None"
        )


def _anchors_per_cell(numbers: Sequence[int]) -> int:
    if len(set(numbers)) != 1:
        raise ValueError(
            f'the levels share a head, so each needs equally many anchors per cell; found {numbers}'
        )
    return numbers[0]
