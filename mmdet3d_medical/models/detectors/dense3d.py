"""One-stage detector on volumes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmdet.models.detectors import BaseDetector
from mmdet.models.utils import filter_scores_and_topk
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.structures import batched_nms3d, clip_boxes3d

from ..dense_heads.targets import DenseTargetHead, DenseTargets, missing_of_protocol
from .tiling import Tile, cut_tiles

TEST_DEFAULTS = dict(
    tile_size=None,
    tile_overlap=32,
    tile_batch=1,
    score_thr=0.01,
    nms_pre=1000,
    nms_iou=0.1,
    max_per_scan=100,
)


@MODELS.register_module()
class DenseDetector3D(BaseDetector):
    """Backbone, neck and dense head.

    Args:
        backbone: Config of a network (B, C, D, H, W) -> feature maps.
        bbox_head: Config of a head that meets
            :class:`~mmdet3d_medical.models.dense_heads.DenseTargetHead` and has
            ``decode(priors, deltas) -> boxes``. Tiles start at multiples of its ``max_stride``
            (z, y, x), where it has one, and of the preprocessor's ``pad_size_divisor``.
        neck: Config of a network maps -> maps, or None.
        data_preprocessor: Config of the ``VolumeDataPreprocessor``.
        train_cfg: Not used; assignment and sampling are the head's.
        test_cfg: Any of

            * ``tile_size``: one number or (D, H, W), multiples of the head's largest stride; None
              takes scans whole;
            * ``tile_overlap`` (32 voxels): one number or (z, y, x); a detection counts where
              its centre is at least half of it away from the tile's borders inside the scan;
            * ``tile_batch`` (1): tiles per forward pass;
            * ``score_thr`` (0.01), ``nms_pre`` (1000): lowest score and number of boxes per tile;
            * ``nms_iou`` (0.1), ``max_per_scan`` (100).
        init_cfg: As in mmengine's ``BaseModule``.

    Raises:
        TypeError: If the head lacks a part of the protocol.
        ValueError: For an unknown key of ``test_cfg``.
    """

    def __init__(
        self,
        backbone: dict,
        bbox_head: dict,
        neck: dict | None = None,
        data_preprocessor: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | list | None = None,
    ):
        preprocessor = data_preprocessor or dict(type='VolumeDataPreprocessor')
        super().__init__(MODELS.build(preprocessor), init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck) if neck else None
        self.bbox_head = MODELS.build(bbox_head)
        self.test_cfg = _checked_test_cfg(test_cfg)
        missing = missing_of_protocol(self.bbox_head)
        if missing:
            raise TypeError(
                f'{type(self.bbox_head).__name__} lacks {", ".join(missing)}, which a dense head '
                'needs; see DenseTargetHead in mmdet3d_medical/models/dense_heads/targets.py'
            )

    def extract_feat(self, batch_inputs: Tensor) -> Sequence[Tensor]:
        """Feature maps of a batch (B, C, D, H, W)."""
        maps = self.backbone(batch_inputs)
        return self.neck(maps) if self.neck is not None else maps

    def _forward(self, batch_inputs: Tensor, batch_data_samples: list | None = None):
        """The head's raw outputs."""
        return self.bbox_head(self.extract_feat(batch_inputs))

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample]) -> dict:
        """Losses of a batch of annotated patches: predict, assign, compare.

        Raises:
            ValueError: If a patch is of a scan without annotations, which would teach the
                detector that its lesions are background.
        """
        targets = targets_of(self.bbox_head, batch_data_samples, tuple(batch_inputs.shape[2:]))
        return self.bbox_head.loss_by_targets(self._forward(batch_inputs), targets)

    @torch.no_grad()
    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample]
    ) -> list[DetDataSample]:
        """Detect lesions in whole scans.

        Args:
            batch_inputs: (B, C, D, H, W).
            batch_data_samples: With ``volume_shape``, the part of each that is not padding.

        Returns:
            The samples with ``pred_instances``: ``bboxes`` (N, 6) in voxel edges, ``scores``
            (N,) and ``labels`` (N,), best first.
        """
        for volume, sample in zip(batch_inputs, batch_data_samples, strict=True):
            depth, height, width = sample.metainfo.get('volume_shape', volume.shape[1:])
            sample.pred_instances = self.detect(volume[:, :depth, :height, :width])
        return batch_data_samples

    def detect(self, volume: Tensor) -> InstanceData:
        """Lesions in one preprocessed scan (C, D, H, W), tile by tile."""
        cfg, shape = self.test_cfg, tuple(volume.shape[1:])
        divisor = self._divisor()
        tile_size = _triple(cfg['tile_size']) if cfg['tile_size'] else shape
        tile_size = [-(-side // step) * step for side, step in zip(tile_size, divisor, strict=True)]
        overlap = _triple(cfg['tile_overlap']) if cfg['tile_size'] else (0, 0, 0)
        tiles, padded = cut_tiles(shape, tile_size, overlap, divisor)
        volume = self.data_preprocessor.pad(volume, padded)
        found = []
        for start in range(0, len(tiles), cfg['tile_batch']):
            found += self._detect_in_tiles(volume, tiles[start : start + cfg['tile_batch']])
        return self._merge(InstanceData.cat(found), shape)

    def _divisor(self) -> tuple[int, ...]:
        """What tiles start at multiples of: strides of the head and those inside the network."""
        divisor = self.data_preprocessor.divisor
        strides = getattr(self.bbox_head, 'max_stride', divisor)
        return tuple(map(math.lcm, strides, divisor))

    def _detect_in_tiles(self, volume: Tensor, tiles: Sequence[Tile]) -> list[InstanceData]:
        batch = torch.stack([volume[tile.slices] for tile in tiles])
        logits, deltas = self.bbox_head.flatten(self._forward(batch))
        priors = self.bbox_head.priors(tiles[0].shape)
        scores = logits.float().sigmoid()
        return [
            self._decode(tile, *row, priors)
            for tile, *row in zip(tiles, scores, deltas, strict=True)
        ]

    def _decode(self, tile: Tile, scores: Tensor, deltas: Tensor, priors: Tensor) -> InstanceData:
        """Best boxes of a tile, in the scan's voxels, that belong to it."""
        scores, labels, index, _ = filter_scores_and_topk(
            scores, self.test_cfg['score_thr'], self.test_cfg['nms_pre']
        )
        boxes = self.bbox_head.decode(priors[index], deltas[index])
        boxes = boxes + boxes.new_tensor(tile.start * 2)
        return InstanceData(bboxes=boxes, scores=scores, labels=labels)[tile.owns(boxes)]

    def _merge(self, found: InstanceData, shape: tuple[int, ...]) -> InstanceData:
        found.bboxes = clip_boxes3d(found.bboxes, shape)
        solid = (found.bboxes[:, 3:] > found.bboxes[:, :3]).all(dim=1)
        found = found[solid]
        keep = batched_nms3d(found.bboxes, found.scores, found.labels, self.test_cfg['nms_iou'])
        return found[keep[: self.test_cfg['max_per_scan']]]


def targets_of(
    head: DenseTargetHead, samples: Sequence[DetDataSample], shape: Sequence[int]
) -> DenseTargets:
    """Targets of annotated patches, all of ``shape`` (D, H, W).

    Raises:
        ValueError: If a patch is of a scan without annotations, which would teach the
            detector that its lesions are background.
    """
    _check_annotated(samples)
    instances = [annotations_of(sample) for sample in samples]
    metas = [{**sample.metainfo, 'batch_input_shape': shape} for sample in samples]
    return head.get_targets(head.priors(shape), instances, metas)


def _check_annotated(samples: Sequence[DetDataSample]) -> None:
    without = [s.metainfo.get('scan_id') for s in samples if not s.metainfo.get('annotated', True)]
    if without:
        raise ValueError(
            f'scan {without[0]} has no annotations ("annotated": false in the index), so nothing '
            'can be learnt from it with labels: train on a split of annotated scans'
        )


def annotations_of(sample: DetDataSample) -> InstanceData:
    """Lesions and ignored boxes of a sample as one ``InstanceData`` with a field ``ignored``."""
    lesions, ignored = sample.gt_instances, sample.get('ignored_instances')
    if ignored is None or len(ignored) == 0:
        return lesions
    number = len(lesions) + len(ignored)
    merged = InstanceData(
        bboxes=torch.cat([lesions.bboxes, ignored.bboxes.to(lesions.bboxes)]),
        labels=torch.cat([lesions.labels, ignored.labels.to(lesions.labels)]),
        ignored=torch.arange(number, device=lesions.bboxes.device) >= len(lesions),
    )
    if 'scores' in lesions:
        ones = lesions.scores.new_ones(len(ignored))
        merged.scores = torch.cat([lesions.scores, ones])
    return merged


def _checked_test_cfg(test_cfg: dict | None) -> dict:
    unknown = set(test_cfg or ()) - set(TEST_DEFAULTS)
    if unknown:
        raise ValueError(
            f'unknown test_cfg {sorted(unknown)}; known are {sorted(TEST_DEFAULTS)}'
        )
    return {**TEST_DEFAULTS, **(test_cfg or {})}


def _triple(value: int | Sequence[int]) -> tuple[int, ...]:
    return (value,) * 3 if isinstance(value, int) else tuple(value)
