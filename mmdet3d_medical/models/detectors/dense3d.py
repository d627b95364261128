"""One-stage detector on volumes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from mmdet.models.detectors import BaseDetector
from mmdet.models.utils import filter_scores_and_topk
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.structures import MERGES, clip_boxes3d, merge_boxes3d
from mmdet3d_medical.utils.lungs import TISSUE_HU

from .. import layers
from ..data_preprocessors import LazyScan, prepares_parts
from ..dense_heads.targets import DenseTargetHead, DenseTargets, missing_of_protocol
from .lungs import near_lungs
from .tiling import Tile, cut_tiles
from .views import RandomViews, View

TEST_DEFAULTS = dict(
    tile_size=None,
    tile_overlap=32,
    tile_batch=1,
    score_thr=0.01,
    nms_pre=1000,
    nms_iou=0.1,
    max_per_scan=100,
    lung_margin=None,
    tta=None,
    merge='nms',
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
        neck: Config of a network maps -> maps, or None. ``in_channels=None`` in it stands for the
            backbone's ``out_channels``.
        data_preprocessor: Config of the ``VolumeDataPreprocessor``.
        train_cfg: Not used; assignment and sampling are the head's.
        test_cfg: Any of

            * ``tile_size``: one number or (D, H, W), multiples of the head's largest stride; None
              takes scans whole;
            * ``tile_overlap`` (32 voxels): one number or (z, y, x); a detection counts where
              its center is at least half of it away from the tile's borders inside the scan;
            * ``tile_batch`` (1): tiles per forward pass;
            * ``score_thr`` (0.01), ``nms_pre`` (1000): lowest score and number of boxes per tile;
            * ``nms_iou`` (0.1), ``max_per_scan`` (100);
            * ``lung_margin`` (None): mm; detections that end farther than that from the lungs are
              left out. Lungs are found by threshold, see
              :func:`~mmdet3d_medical.models.detectors.lungs.lung_distance`; where there are none,
              all detections stay;
            * ``tta`` (None), test-time augmentation: ``flip_axes`` and ``permute_axes`` of
              :class:`~mmdet3d_medical.models.detectors.views.RandomViews`, say
              ``dict(permute_axes=())``: each tile is looked at in all views that could be drawn,
              here the eight of mirroring, one after the other;
            * ``merge`` ('nms'): how boxes of all tiles and views become one, see
              :func:`~mmdet3d_medical.structures.merge_boxes3d`.
        channels_last: Keep the weights of convolutions, and so most maps, in the order (B, D, H,
            W, C) in memory. Outputs are the same up to rounding; faster on CPUs, a little on
            GPUs, see ``docs/model.md``.
        winograd: On a CPU compute wide convolutions of 3^3 by Winograd's filtering
            (:class:`~mmdet3d_medical.models.layers.WinogradConv3d`): the same outputs up to
            rounding, with 256 channels in half of the time, see ``docs/model.md``.
        recompute_activations: Keep the outputs of convolutions for the backward pass, but not those
            of the normalizations and ReLUs behind them, which are computed again there
            (:mod:`~mmdet3d_medical.models.layers.recomputed_activations`): the same gradients, less
            memory, a little more time, see ``docs/model.md``.
        init_cfg: As in mmengine's ``BaseModule``.

    Raises:
        TypeError: If the head lacks a part of the protocol.
        ValueError: For an unknown key of ``test_cfg``, or a value that it cannot have, or a neck
            whose ``in_channels`` are not the backbone's ``out_channels``.
    """

    # Called with the tiles done and all tiles of a scan, whenever some are done.
    progress: Callable[[int, int], None] | None = None
    # Computes (logits, deltas) of patches in the place of the network, see mmdet3d_medical.deploy.
    runtime: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None

    def __init__(
        self,
        backbone: dict,
        bbox_head: dict,
        neck: dict | None = None,
        data_preprocessor: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        channels_last: bool = False,
        winograd: bool = False,
        recompute_activations: bool = False,
        init_cfg: dict | list | None = None,
    ):
        preprocessor = data_preprocessor or dict(type='VolumeDataPreprocessor')
        super().__init__(MODELS.build(preprocessor), init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(_fitted(neck, self.backbone)) if neck else None
        self.bbox_head = MODELS.build(bbox_head)
        self.test_cfg = _checked_test_cfg(test_cfg)
        views = self.test_cfg['tta']
        self.tta = None if views is None else RandomViews(**views)
        missing = missing_of_protocol(self.bbox_head)
        if missing:
            raise TypeError(
                f'{type(self.bbox_head).__name__} lacks {", ".join(missing)}, which a dense head '
                'needs; see DenseTargetHead in mmdet3d_medical/models/dense_heads/targets.py'
            )
        if channels_last:
            for weight in self.parameters():
                if weight.dim() == 5:
                    weight.data = weight.data.to(memory_format=torch.channels_last_3d)
        if winograd:
            layers.use_winograd(self)
        if recompute_activations:
            layers.recompute_activations(self)

    def extract_feat(self, batch_inputs: Tensor) -> Sequence[Tensor]:
        """Feature maps of a batch (B, C, D, H, W)."""
        maps = self.backbone(batch_inputs)
        return self.neck(maps) if self.neck is not None else maps

    def _forward(self, batch_inputs: Tensor, batch_data_samples: list | None = None):
        """The head's raw outputs."""
        with layers.recomputing(self):
            return self.bbox_head(self.extract_feat(batch_inputs))

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample]) -> dict:
        """Losses of a batch of annotated patches: predict, assign, compare.

        Raises:
            ValueError: If a patch is of a scan without annotations, which would teach the
                detector that its lesions are background.
        """
        targets = targets_of(self.bbox_head, batch_data_samples, tuple(batch_inputs.shape[2:]))
        return self.bbox_head.loss_by_targets(self._forward(batch_inputs), targets)

    def test_step(self, data: dict) -> list[DetDataSample]:
        """Detect lesions in a batch of whole scans, as the data loader gives it.

        The base class has the batch preprocessed first; that takes several float copies of the
        scans. Here each tile is preprocessed when it is its turn, with the same results.
        """
        if not prepares_parts(self.data_preprocessor):
            return super().test_step(data)
        return self._run_forward(self.data_preprocessor.scans(data), mode='predict')

    def val_step(self, data: dict) -> list[DetDataSample]:
        """The same as :meth:`test_step`."""
        return self.test_step(data)

    @torch.no_grad()
    def predict(
        self, batch_inputs: Tensor | Sequence[LazyScan], batch_data_samples: list[DetDataSample]
    ) -> list[DetDataSample]:
        """Detect lesions in whole scans.

        Args:
            batch_inputs: (B, C, D, H, W), preprocessed, or the preprocessor's ``scans``.
            batch_data_samples: With ``volume_shape``, the part of each that is not padding, and
                ``geometry``, which tells which axes views may exchange.

        Returns:
            The samples with ``pred_instances``: ``bboxes`` (N, 6) in voxel edges, ``scores``
            (N,) and ``labels`` (N,), best first.
        """
        for volume, sample in zip(batch_inputs, batch_data_samples, strict=True):
            shape = tuple(sample.metainfo.get('volume_shape', volume.shape[1:]))
            if shape != tuple(volume.shape[1:]):
                volume = volume[:, : shape[0], : shape[1], : shape[2]]
            geometry = sample.metainfo.get('geometry')
            spacing = None if geometry is None else geometry.spacing_zyx
            sample.pred_instances = self.detect(volume, spacing)
        return batch_data_samples

    def detect(
        self, volume: Tensor | LazyScan, spacing: Sequence[float] | None = None
    ) -> InstanceData:
        """Lesions in one scan, tile by tile and view by view.

        Args:
            volume: (C, D, H, W), preprocessed or lazily so.
            spacing: Size of a voxel (z, y, x) in mm; by default the same along all axes.
        """
        cfg, shape = self.test_cfg, tuple(volume.shape[1:])
        tiles = self._tiles(shape)
        views = self._views(tiles[0].shape, spacing)
        found = []
        for start in range(0, len(tiles), cfg['tile_batch']):
            part = tiles[start : start + cfg['tile_batch']]
            batch = torch.stack([self._voxels(volume, tile) for tile in part])
            for number, view in enumerate(views):
                found += self._detect_in_tiles(batch, part, view, number)
            if self.progress is not None:
                self.progress(start + len(part), len(tiles))
        found = InstanceData.cat(found)
        if cfg['lung_margin'] is not None:
            found = found[self._near_lungs(found.bboxes, volume, spacing)]
        return self._merge(found, shape, len(views))

    def _near_lungs(
        self, boxes: Tensor, volume: Tensor | LazyScan, spacing: Sequence[float] | None
    ) -> Tensor:
        spacing = (1.0, 1.0, 1.0) if spacing is None else spacing
        air_below = self.data_preprocessor.value_of(TISSUE_HU)
        return near_lungs(boxes, volume, air_below, spacing, self.test_cfg['lung_margin'])

    def _tiles(self, shape: tuple[int, ...]) -> list[Tile]:
        divisor = self.divisor
        if self.test_cfg['tile_size'] is None:  # tiles as long as there is a multiple inside
            sides = [max(side // step, 1) * step for side, step in zip(shape, divisor, strict=True)]
            overlap = [side - step for side, step in zip(sides, divisor, strict=True)]
        else:
            sides, overlap = map(
                _triple, (self.test_cfg['tile_size'], self.test_cfg['tile_overlap'])
            )
            sides = [-(-side // step) * step for side, step in zip(sides, divisor, strict=True)]
        return cut_tiles(shape, sides, overlap, divisor)

    def _voxels(self, volume: Tensor | LazyScan, tile: Tile) -> Tensor:
        """(C, D, H, W) of a tile, continued by the last voxels where the scan has too few."""
        return self.data_preprocessor.pad(volume[tile.slices], tile.shape)

    def _views(self, shape: Sequence[int], spacing: Sequence[float] | None) -> list[View]:
        if self.tta is None:
            return [View()]
        spacings = [] if spacing is None else [spacing]
        return self.tta.all(shape, self.bbox_head.priors(shape), spacings)

    @property
    def divisor(self) -> tuple[int, ...]:
        """What tiles start at multiples of: strides of the head and those inside the network."""
        divisor = self.data_preprocessor.divisor
        strides = getattr(self.bbox_head, 'max_stride', divisor)
        return tuple(map(math.lcm, strides, divisor))

    def _detect_in_tiles(
        self, batch: Tensor, tiles: Sequence[Tile], view: View, number: int
    ) -> list[InstanceData]:
        """Boxes that belong to each tile (C, D, H, W) of a batch, with the view's number."""
        batch = view.apply(batch)
        logits, deltas = (self.runtime or self.outputs_of_tiles)(batch)
        shape = tuple(batch.shape[2:])
        priors, scores, found = self.bbox_head.priors(shape), logits.float().sigmoid(), []
        for tile, *row in zip(tiles, scores, deltas, strict=True):
            instances = self._decode(*row, priors)
            boxes = view.inverse().apply_to_boxes(instances.bboxes, shape)
            instances.bboxes = boxes + boxes.new_tensor(tile.start * 2)
            instances.views = torch.full_like(instances.labels, number)
            found.append(instances[tile.owns(instances.bboxes)])
        return found

    def flat_outputs(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits (B, N, C) and deltas (B, N, R) of preprocessed patches (B, C, D, H, W)."""
        return self.bbox_head.flatten(self._forward(batch))

    def outputs_of_tiles(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`flat_outputs` for inference."""
        with layers.OneDNNConvolutions():
            return self.flat_outputs(batch)

    def _decode(self, scores: Tensor, deltas: Tensor, priors: Tensor) -> InstanceData:
        """Best boxes of a patch, in its voxels."""
        scores, labels, index, _ = filter_scores_and_topk(
            scores, self.test_cfg['score_thr'], self.test_cfg['nms_pre']
        )
        boxes = self.bbox_head.decode(priors[index], deltas[index])
        return InstanceData(bboxes=boxes, scores=scores, labels=labels)

    def _merge(self, found: InstanceData, shape: tuple[int, ...], num_views: int) -> InstanceData:
        """One box for each lesion out of those of all tiles and views."""
        found.bboxes = clip_boxes3d(found.bboxes, shape)
        solid = (found.bboxes[:, 3:] > found.bboxes[:, :3]).all(dim=1)
        found = found[solid]
        boxes, scores, labels = merge_boxes3d(
            *(found.bboxes, found.scores, found.labels, found.views, num_views),
            *(self.test_cfg[key] for key in ('merge', 'nms_iou', 'max_per_scan')),
        )
        return InstanceData(bboxes=boxes, scores=scores, labels=labels)


def _fitted(neck: dict, backbone: nn.Module) -> dict:
    """A neck's config with ``in_channels`` that are the backbone's ``out_channels``, if stated."""
    channels = getattr(backbone, 'out_channels', None)
    if not isinstance(channels, Sequence) or 'in_channels' not in neck:
        return neck
    found = neck['in_channels']
    if isinstance(found, int):  # a neck for one map knows which
        return neck
    if found is not None and list(found) != list(channels):
        raise ValueError(
            f'neck.in_channels are {list(found)}, but the maps of {type(backbone).__name__} have '
            f'{channels} channels: state these, or None for whatever the backbone has'
        )
    return {**neck, 'in_channels': channels}


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
            f'scan {without[0]} has no annotations ("annotated": false in the index) to learn '
            'from, or to compare guesses with: choose a split of annotated scans'
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
        raise ValueError(f'unknown test_cfg {sorted(unknown)}; known are {sorted(TEST_DEFAULTS)}')
    cfg = {**TEST_DEFAULTS, **(test_cfg or {})}
    if cfg['merge'] not in MERGES:
        raise ValueError(f'test_cfg.merge must be one of {MERGES}, found {cfg["merge"]!r}')
    unknown = set(cfg['tta'] or ()) - {'flip_axes', 'permute_axes'}
    if unknown:
        raise ValueError(f'test_cfg.tta takes flip_axes and permute_axes, found {unknown}')
    return cfg


def _triple(value: int | Sequence[int]) -> tuple[int, ...]:
    return (value,) * 3 if isinstance(value, int) else tuple(value)
