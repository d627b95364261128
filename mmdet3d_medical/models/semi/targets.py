"""Targets of unlabeled patches: what the detector, or its teacher, says about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdet3d_medical.registry import TASK_UTILS
from mmdet3d_medical.structures import merge_boxes3d, nms3d

from ..dense_heads.targets import DenseTargets, predict
from ..detectors.views import PriorPermutations, RandomViews, View

BN_STATS = ('batch', 'running')
_MAX_OBJECTS = 1000  # best priors of a patch that go into NMS
_OBJECT_IOU = 0.1  # above it, the weaker of two objects is dropped


@dataclass
class Guess:
    """What is guessed about B patches with N priors and C classes.

    Attributes:
        targets: What the patches are trained toward.
        priors: (N, 6).
        boxes: For each patch (K, 6), the objects found with confidence.
        metas: Meta information of each patch, which tells where it lies.
    """

    targets: DenseTargets
    priors: Tensor
    boxes: list[Tensor]
    metas: Sequence[Mapping] = ()

    @property
    def cls(self) -> Tensor:
        """(B, N, C) targets in [0, 1]."""
        return self.targets.cls

    @property
    def weight(self) -> Tensor:
        """(B, N); 0 where nothing is known, else 1."""
        return self.targets.cls_weight


class _Targets:
    """Looks at patches in random views, by one detector or several.

    Args:
        views: Arguments of :class:`RandomViews`.
        bn_stats: Of batch normalization while guessing. ``'batch'`` is right for the model in
            training: its weights are fitted to the statistics of batches, while running ones lag
            behind them and are of mixed patches. ``'running'`` is right for an averaged teacher,
            which is fitted to no batch, and where batches are of one or two patches: a guess
            then depends on its own patch alone. Neither changes the running statistics. On one
            supervised detector of phantoms both found as many lesions; running statistics were
            more precise below a target of 0.5.
        score_thr: Lowest target of an object.
    """

    needs_decode = False  # of the head

    def __init__(self, views: dict, bn_stats: str, score_thr: float) -> None:
        if bn_stats not in BN_STATS:
            raise ValueError(f'bn_stats must be one of {BN_STATS}, found {bn_stats!r}')
        self.views = RandomViews(**views)
        self.bn_stats = bn_stats
        self.score_thr = score_thr

    def _draw(
        self,
        detectors: Sequence[nn.Module],
        inputs: Tensor,
        rng: np.random.Generator,
        metas: Sequence[Mapping],
    ) -> tuple[nn.Module, tuple[int, ...], Tensor, list[View]]:
        """The head, the shape (D, H, W) and the priors (N, 6) of patches, and views of them."""
        head, shape = detectors[0].bbox_head, tuple(inputs.shape[2:])
        priors = head.priors(shape)
        return head, shape, priors, self.views.draw(rng, shape, priors, _spacings(metas))

    def _look(
        self, detectors: Sequence[nn.Module], inputs: Tensor, views: Sequence[View]
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """The number of a view, logits (B, N, C) and deltas (B, N, R) of it, by each detector.

        Deltas are those of the first view by the first detector unless all are needed.
        """
        for detector in detectors:
            head = detector.bbox_head
            with guessing(detector, self.bn_stats):
                for start in range(0, len(views), self.views.per_forward):
                    part = views[start : start + self.views.per_forward]
                    seen = torch.cat([view.apply(inputs, self.views.num_channels) for view in part])
                    first = len(inputs) if detector is detectors[0] and start == 0 else 0
                    boxes_of = None if self.needs_decode else first
                    outs = predict(head, detector.extract_feat(seen), boxes_of)
                    logits, deltas = head.flatten(outs)
                    outs = zip(logits.split(len(inputs)), deltas.split(len(inputs)), strict=True)
                    for number, out in enumerate(outs, start):
                        yield number, *out


@TASK_UTILS.register_module()
class AnchorTargets(_Targets):
    r"""Mean over views of a detector's probabilities (FocalMix, arXiv 2003.09108, equation 3).

    .. math::

        y = \frac{1}{K} \sum_{k=1}^{K} V_k^{-1}\bigl( p(V_k(u)) \bigr)

    Each view's predictions are carried back by the permutation of priors that it induces, so
    nothing is interpolated and a detector that commutes with the views guesses the same from
    one view as from all. Of several detectors it is the mean of all. Boxes are not learned.

    Args:
        views: Arguments of :class:`RandomViews`; the paper's tables have ``dict(num=4)``.
        steps: Configs of what is done to the mean one after the other, such as :class:`Sharpen`
            (equation 4), :class:`IgnoreRange`, :class:`TopK` and :class:`Threshold`.
        bn_stats: ``'batch'`` or ``'running'``: of batch normalization while guessing.
        score_thr: Lowest target of an object of object-level MixUp. The paper names no value.

    Raises:
        ValueError: For values outside these ranges.
    """

    def __init__(
        self,
        views: dict = dict(num=4),  # noqa: B006 (never changed)
        steps: Sequence[dict] = (dict(type='Sharpen', temperature=0.7),),
        bn_stats: str = 'batch',
        score_thr: float = 0.9,
    ) -> None:
        super().__init__(views, bn_stats, score_thr)
        self.steps = [TASK_UTILS.build(step) for step in steps]
        self.permutations = PriorPermutations()

    @torch.no_grad()
    def __call__(
        self,
        detectors: Sequence[nn.Module],
        inputs: Tensor,
        rng: np.random.Generator,
        metas: Sequence[Mapping] = (),
    ) -> Guess:
        """Guess the targets of patches.

        Args:
            detectors: With ``extract_feat`` and a ``bbox_head`` that meets the protocol.
            inputs: (B, C, D, H, W).
            rng: Draws the views.
            metas: Of each patch; the ``geometry`` of those that have one tells the spacing.

        Raises:
            ValueError: If the prior set is not closed under a view.
        """
        head, shape, priors, views = self._draw(detectors, inputs, rng, metas)
        indices = [self.permutations.of(view, priors, shape) for view in views]
        total, first_deltas = 0.0, None
        for number, logits, deltas in self._look(detectors, inputs, views):
            total = total + logits.float().sigmoid()[:, indices[number]]
            first_deltas = deltas if first_deltas is None else first_deltas
        cls = total / (len(views) * len(detectors))
        weight = cls.new_ones(cls.shape[:2])
        for step in self.steps:
            cls, weight = step(cls, weight)
        boxes = [priors.new_zeros(0, 6)] * len(inputs)
        if hasattr(head, 'decode') and first_deltas.shape[-1]:
            sure = cls * (weight > 0)[..., None]
            boxes = self._objects(head, sure, priors, first_deltas, views[0], indices[0], shape)
        box = cls.new_zeros(*cls.shape[:2], first_deltas.shape[-1])
        targets = DenseTargets(cls, weight, box, torch.zeros_like(weight))
        return Guess(targets, priors, boxes, metas)

    def _objects(self, head, cls, priors, deltas, view, index, shape) -> list[Tensor]:
        """Boxes whose target is confident, decoded where one view saw them and carried back.

        Boxes of several views are not averaged: regression outputs of a mirrored box are not the
        mirrored outputs for every coder, its decoded boxes are.
        """
        found = []
        for scores, row in zip(cls.amax(dim=-1), deltas, strict=True):
            best = _best(scores, self.score_thr)
            boxes = head.decode(priors[index[best]], row[index[best]])
            boxes = _carried_back(boxes, view, shape)
            found.append(boxes[nms3d(boxes, scores[best], _OBJECT_IOU)])
        return found


@TASK_UTILS.register_module()
class BoxTargets(_Targets):
    """Detections as if a reader had drawn them: the head assigns them, boxes are learned too.

    The detections of all views and detectors are averaged by weighted box clustering, so what few
    of them find loses score. Needs a head with ``decode``.

    Args:
        views: Arguments of :class:`RandomViews`.
        score_thr: From this score on a detection is a lesion.
        ignore_thr: From this score up to ``score_thr`` it counts neither way.
        bn_stats: ``'batch'`` or ``'running'``: of batch normalization while guessing.
        nms_iou: Above it two boxes are of one lesion.
        ignore_matched: Whether anchors count neither way that a detection of middling score would
            get as a lesion. Without it only those do that lie in it mostly, as around annotated
            findings that are ignored: many that match a small box are larger, and background.

    Raises:
        ValueError: Unless 0 < ignore_thr <= score_thr <= 1.
    """

    needs_decode = True

    def __init__(
        self,
        views: dict = dict(num=1),  # noqa: B006 (never changed)
        score_thr: float = 0.6,
        ignore_thr: float = 0.2,
        bn_stats: str = 'running',
        nms_iou: float = _OBJECT_IOU,
        ignore_matched: bool = False,
    ) -> None:
        super().__init__(views, bn_stats, score_thr)
        if not 0 < ignore_thr <= score_thr <= 1:
            raise ValueError(
                f'expected 0 < ignore_thr <= score_thr <= 1, found {ignore_thr} and {score_thr}'
            )
        self.ignore_thr = ignore_thr
        self.nms_iou = nms_iou
        self.ignore_matched = ignore_matched

    @torch.no_grad()
    def __call__(
        self,
        detectors: Sequence[nn.Module],
        inputs: Tensor,
        rng: np.random.Generator,
        metas: Sequence[Mapping] = (),
    ) -> Guess:
        """Guess the targets of patches, as :meth:`AnchorTargets.__call__` does."""
        head, shape, priors, views = self._draw(detectors, inputs, rng, metas)
        found: list[list[InstanceData]] = [[] for _ in inputs]
        looks = self._look(detectors, inputs, views)
        for source, (number, logits, deltas) in enumerate(looks):
            for rows, scores, row in zip(found, logits.float().sigmoid(), deltas, strict=True):
                rows.append(
                    self._detections(head, priors, scores, row, views[number], shape, source)
                )
        number = len(views) * len(detectors)
        merged = [self._merged(InstanceData.cat(rows), number) for rows in found]
        metas = metas or [{}] * len(inputs)
        wide = [{**meta, 'batch_input_shape': shape} for meta in metas]
        targets = head.get_targets(priors, merged, wide)
        if self.ignore_matched:
            unsure = [_as_lesions(instances[instances.ignored]) for instances in merged]
            matched = (head.get_targets(priors, unsure, wide).cls > 0).any(dim=-1)
            lesions = (targets.cls > 0).any(dim=-1)
            targets = replace(
                targets, cls_weight=targets.cls_weight.masked_fill(matched & ~lesions, 0)
            )
        boxes = [instances.bboxes[~instances.ignored] for instances in merged]
        return Guess(targets, priors, boxes, metas)

    def _detections(self, head, priors, scores, deltas, view, shape, source) -> InstanceData:
        """Boxes of a patch, in its voxels; weak ones too, as others may be surer of them."""
        best, labels = scores.max(dim=-1)
        index = _best(best, self.ignore_thr / 2)
        boxes = head.decode(priors[index], deltas[index])
        return InstanceData(
            bboxes=_carried_back(boxes, view, shape),
            scores=best[index],
            labels=labels[index],
            sources=torch.full_like(labels[index], source),
        )

    def _merged(self, found: InstanceData, number: int) -> InstanceData:
        """One box for each lesion, with a field ``ignored`` for those of middling score."""
        boxes, scores, labels = merge_boxes3d(
            *(found.bboxes, found.scores, found.labels, found.sources, number),
            *('wbc', self.nms_iou, _MAX_OBJECTS),
        )
        kept = (scores >= self.ignore_thr) & (boxes[:, 3:] > boxes[:, :3]).all(dim=1)
        return InstanceData(
            bboxes=boxes[kept], labels=labels[kept], ignored=scores[kept] < self.score_thr
        )


def _as_lesions(instances: InstanceData) -> InstanceData:
    return InstanceData(bboxes=instances.bboxes, labels=instances.labels)


def _carried_back(boxes: Tensor, view: View, shape: Sequence[int]) -> Tensor:
    """Boxes (K, 6) of a view of a patch of ``shape`` (D, H, W) as they lie in the patch."""
    return view.inverse().apply_to_boxes(boxes, [shape[axis] for axis in view.order])


def _best(scores: Tensor, threshold: float) -> Tensor:
    best = scores.topk(min(_MAX_OBJECTS, len(scores)))
    return best.indices[best.values >= threshold]


def _spacings(metas: Sequence[Mapping]) -> list[np.ndarray]:
    """Voxel sizes (z, y, x) in mm of those patches that tell them."""
    return [meta['geometry'].spacing_zyx for meta in metas if meta.get('geometry') is not None]


@contextmanager
def guessing(detector: nn.Module, bn_stats: str) -> Iterator[None]:
    """Evaluation mode, with batch statistics where asked for; all is put back afterwards.

    Batch normalization that trains uses the statistics of the batch without recording them;
    frozen layers stay frozen.
    """
    modes = [(module, module.training) for module in detector.modules()]
    norms = [
        (module, module.track_running_stats)
        for module, training in modes
        if isinstance(module, _BatchNorm) and training and bn_stats == 'batch'
    ]
    detector.eval()
    for norm, _ in norms:
        norm.training, norm.track_running_stats = True, False
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for norm, tracks in norms:
            norm.track_running_stats = tracks
        # Older torch: autocast keeps weights that it cast without gradient and trains on those.
        torch.clear_autocast_cache()
