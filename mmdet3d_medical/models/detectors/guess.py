"""Anchor-level target prediction: what the detector itself says about unlabeled patches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdet3d_medical.structures import nms3d

from .views import PriorPermutations, RandomViews, View

BN_STATS = ('batch', 'running')
_MAX_OBJECTS = 1000  # best priors of a patch that go into NMS
_OBJECT_IOU = 0.1  # above it, the weaker of two objects is dropped


@dataclass
class Guess:
    """What is guessed about B patches with N priors and C classes.

    Attributes:
        cls: (B, N, C) targets in [0, 1].
        weight: (B, N); 0 where the detector is unsure, else 1.
        priors: (N, 6).
        boxes: For each patch (K, 6), the objects found with confidence.
        box_width: Regression outputs R of a prior.
        metas: Meta information of each patch, which tells where it lies.
    """

    cls: Tensor
    weight: Tensor
    priors: Tensor
    boxes: list[Tensor]
    box_width: int
    metas: Sequence[Mapping] = ()


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


def check_sharpening(temperature: float, center: float) -> None:
    """Refuse what :func:`sharpen` cannot do.

    Raises:
        ValueError: Unless temperature >= 0 and 0 < center < 1.
    """
    if not (temperature >= 0 and 0 < center < 1):
        raise ValueError(
            f'expected temperature >= 0 and 0 < center < 1, found {temperature} and {center}'
        )


class TargetGuesser:
    r"""Mean over views of a detector's probabilities, sharpened (equations 3 and 4).

    .. math::

        y = \frac{1}{K} \sum_{k=1}^{K} V_k^{-1}\bigl( p(V_k(u)) \bigr)

    Each view's predictions are carried back by the permutation of priors that it induces, so
    nothing is interpolated and a detector that commutes with the views guesses the same from
    one view as from all.

    Args:
        views: Arguments of :class:`RandomViews`.
        temperature: T of :func:`sharpen`. The paper names no value.
        center: Of :func:`sharpen`.
        bn_stats: Of batch normalization while guessing. ``'batch'`` is right for the model in
            training: its weights are fitted to the statistics of batches, while running ones lag
            behind them and are of mixed patches. ``'running'`` is right for an averaged teacher,
            which is fitted to no batch, and where batches are of one or two patches: a guess
            then depends on its own patch alone. Neither changes the running statistics. On one
            supervised detector of phantoms both found as many lesions; running statistics were
            more precise below a target of 0.5.
        score_thr: Lowest target of an object of object-level MixUp. The paper names no value.
        ignore_range: (low, high): priors whose mean probability, before sharpening, lies between
            these count neither as lesion nor as background. Not in the paper; ``(0, 0)``, the
            default, ignores none.

    Raises:
        ValueError: For values outside these ranges.
    """

    def __init__(
        self,
        views: dict,
        temperature: float = 0.7,
        center: float = 0.5,
        bn_stats: str = 'batch',
        score_thr: float = 0.9,
        ignore_range: tuple[float, float] = (0.0, 0.0),
    ):
        if not 0 <= ignore_range[0] <= ignore_range[1] <= 1:
            raise ValueError(
                f'expected ignore_range=(low, high), 0 <= low <= high <= 1, found {ignore_range}'
            )
        if bn_stats not in BN_STATS:
            raise ValueError(f'bn_stats must be one of {BN_STATS}, found {bn_stats!r}')
        check_sharpening(temperature, center)
        self.views = RandomViews(**views)
        self.temperature = temperature
        self.center = center
        self.bn_stats = bn_stats
        self.score_thr = score_thr
        self.ignore_range = ignore_range
        self.permutations = PriorPermutations()

    @torch.no_grad()
    def __call__(
        self,
        detector: nn.Module,
        inputs: Tensor,
        rng: np.random.Generator,
        metas: Sequence[Mapping] = (),
    ) -> Guess:
        """Guess the targets of patches.

        Args:
            detector: With ``extract_feat`` and a ``bbox_head`` that meets the protocol.
            inputs: (B, C, D, H, W).
            rng: Draws the views.
            metas: Of each patch; the ``geometry`` of those that have one tells the spacing.

        Raises:
            ValueError: If the prior set is not closed under a view.
        """
        head, shape = detector.bbox_head, tuple(inputs.shape[2:])
        priors = head.priors(shape)
        views = self.views.draw(rng, shape, priors, _spacings(metas))
        indices = [self.permutations.of(view, priors, shape) for view in views]
        total, first_deltas = 0.0, None
        with guessing(detector, self.bn_stats):
            predictions = self._predict(detector, inputs, views)
            for index, (logits, deltas) in zip(indices, predictions, strict=True):
                total = total + logits.float().sigmoid()[:, index]
                first_deltas = deltas if first_deltas is None else first_deltas
        mean = total / len(views)
        cls = sharpen(mean, self.temperature, self.center)
        boxes = [priors.new_zeros(0, 6)] * len(inputs)
        if hasattr(head, 'decode') and first_deltas.shape[-1]:
            boxes = self._objects(head, cls, priors, first_deltas, views[0], indices[0], shape)
        return Guess(cls, self._weight(mean), priors, boxes, first_deltas.shape[-1], metas)

    def _weight(self, mean: Tensor) -> Tensor:
        """0 where the likeliest class (B, N, C) is unsure, else 1."""
        low, high = self.ignore_range
        best = mean.amax(dim=-1)
        return ((best <= low) | (best >= high)).to(mean.dtype)

    def _predict(
        self, detector: nn.Module, inputs: Tensor, views: Sequence[View]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits (B, N, C) and regression outputs (B, N, R) of each view."""
        for start in range(0, len(views), self.views.per_forward):
            part = views[start : start + self.views.per_forward]
            seen = torch.cat([view.apply(inputs, self.views.num_channels) for view in part])
            head = detector.bbox_head
            logits, deltas = head.flatten(head(detector.extract_feat(seen)))
            yield from zip(logits.split(len(inputs)), deltas.split(len(inputs)), strict=True)

    def _objects(self, head, cls, priors, deltas, view, index, shape) -> list[Tensor]:
        """Boxes whose target is confident, decoded where one view saw them and carried back.

        Boxes of several views are not averaged: regression outputs of a mirrored box are not the
        mirrored outputs for every coder, its decoded boxes are.
        """
        found = []
        for scores, row in zip(cls.amax(dim=-1), deltas, strict=True):
            best = _best(scores, self.score_thr)
            boxes = head.decode(priors[index[best]], row[index[best]])
            boxes = view.inverse().apply_to_boxes(boxes, [shape[axis] for axis in view.order])
            found.append(boxes[nms3d(boxes, scores[best], _OBJECT_IOU)])
        return found


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
