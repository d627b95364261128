"""MixUp of whole patches and of single lesions (FocalMix, CVPR 2020, arXiv 2003.09108).

Either kind mixes batches on their device (``mix``, what a detector calls) and samples of a pipeline
(``transform``, inside mmdet's ``MultiImageMixDataset``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mmdet3d_medical.registry import TRANSFORMS

from .base_mixup import BaseMixUp, sample_generator
from .regions import Region, mix_region, voxel_regions

if TYPE_CHECKING:
    from mmdet3d_medical.models.dense_heads.targets import DenseTargets

BOX_MODES = ('dominant', 'both')
IGNORED_MODES = ('either', 'dominant')


@TRANSFORMS.register_module()
class ImageMixUp(BaseMixUp):
    r"""Mix each patch of a batch with another one, equations 10 to 13.

    .. math::

        \lambda &\sim Beta(\eta, \eta), \quad \lambda' = \max(\lambda, 1 - \lambda) \\
        x &= \lambda' x_1 + (1 - \lambda') x_2, \quad y = \lambda' y_1 + (1 - \lambda') y_2

    The targets y are those of every anchor. The paper does not state, so our choices are: each
    patch has a lambda of its own; partners are a random permutation, so that a patch may be its
    own; an anchor that is ignored on either side is ignored; eta; which boxes are learned.

    In a pipeline the volumes are mixed in HU, before any window. The boxes are those of both
    samples, with ``gt_bboxes_scores`` lambda' for the sample's own and 1 - lambda' for the
    partner's, times the scores they had. A sample whose partner is of a scan that nobody
    annotated is no longer ``annotated``.

    Required and changed keys: ``volume``, then float32, ``gt_bboxes``, ``gt_bboxes_labels``,
    ``gt_ignore_flags``. Required too: ``mix_results``, whose first entry is the partner. Used and
    changed where present: ``annotated``, ``rng``. Added key: ``gt_bboxes_scores`` (N,) float32.

    Args:
        eta: Parameter of Beta(eta, eta); 0 turns mixing off. Defaults to 0.2.
        p: Probability that a patch is mixed. Defaults to 1.0.
        box: Boxes learned from a mixed patch of a batch: 'dominant', those of the member with
            lambda' >= 1/2, as if it was alone; 'both', those with weight lambda' and, at anchors
            without one, the partner's with weight 1 - lambda'. Defaults to 'dominant'.
        num_channels: Channels that are image and are mixed, from the first on, or below 0 all but
            so many of the last; the others, say coordinates, stay the dominant member's. Defaults
            to ``None``, all.
        ignored: Anchors of a mixed patch of a batch that are ignored: 'either', those ignored in
            one of the two; 'dominant', those of the member with lambda' >= 1/2, and where only the
            partner's target is unknown, the dominant member's stands. Defaults to 'either'.
    """

    def __init__(
        self,
        eta: float = 0.2,
        p: float = 1.0,
        box: str = 'dominant',
        num_channels: int | None = None,
        ignored: str = 'either',
    ) -> None:
        super().__init__(eta, p, num_channels)
        if box not in BOX_MODES:
            raise ValueError(f'box must be one of {BOX_MODES}, found {box!r}')
        if ignored not in IGNORED_MODES:
            raise ValueError(f'ignored must be one of {IGNORED_MODES}, found {ignored!r}')
        self.box = box
        self.ignored = ignored

    def mix(
        self, inputs: Tensor, targets: DenseTargets, rng: np.random.Generator
    ) -> tuple[Tensor, DenseTargets, Tensor, Tensor]:
        """Mix a batch. Patches with lambda' = 1 stay as they are, to the last bit.

        Args:
            inputs: (B, C, D, H, W) float.
            targets: Of these patches.
            rng: The only source of randomness.

        Returns:
            Mixed inputs and targets in new tensors, partner (B,) int64 and lambda' (B,) float32.
        """
        partner = torch.from_numpy(rng.permutation(len(inputs))).to(inputs.device)
        lam = torch.from_numpy(self.draw_lambda(len(inputs), rng)).to(inputs.device)
        return (
            self.mix_inputs(inputs, partner, lam),
            self.mix_targets(targets, partner, lam),
            partner,
            lam,
        )

    def mix_inputs(self, inputs: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
        """Patches (B, C, D, H, W) mixed with those of their partners, equation 12."""
        if self.num_channels is None:
            return _mixed(inputs, partner, lam)
        image, rest = inputs.tensor_split([self.num_channels], dim=1)
        return torch.cat([_mixed(image, partner, lam), rest], dim=1)

    def mix_targets(self, targets: DenseTargets, partner: Tensor, lam: Tensor) -> DenseTargets:
        """Targets mixed with those of the partners, equation 13."""
        known = (targets.cls_weight[partner] > 0) | (lam == 1)[:, None]
        cls, weight = _mixed(targets.cls, partner, lam), targets.cls_weight
        if self.ignored == 'either':
            weight = weight * known
        else:
            cls = torch.where(known[..., None], cls, targets.cls)
        mixed = replace(targets, cls=cls, cls_weight=weight)
        if self.box == 'dominant':
            return mixed
        own, other = targets.box_weight, targets.box_weight[partner]
        itself = partner == torch.arange(len(partner), device=partner.device)
        share = torch.where(itself, 1.0, lam)[:, None]
        weight = torch.where(own > 0, share * own, (1 - share) * other)
        box = torch.where(own[..., None] > 0, targets.box, targets.box[partner])
        return replace(mixed, box=box, box_weight=weight.to(own))

    def transform(self, results: dict) -> dict:
        partner, lam = results['mix_results'][0], self.draw_lambda(1, sample_generator(results))[0]
        results['gt_bboxes_scores'] = _scores(results)
        if lam == 1:
            return results
        own, other = results['volume'], partner['volume']
        if own.shape != other.shape:
            raise ValueError(
                f'scan {results.get("scan_id")}: a patch of shape {own.shape} cannot '
                f'be mixed with one of {other.shape}, of scan '
                f'{partner.get("scan_id")}: crop to one size before'
            )
        mixed, image = own.astype(np.float32), slice(self.num_channels)
        mixed[image] = lam * own[image] + (1 - lam) * other[image]
        scores = lam * results['gt_bboxes_scores'], (1 - lam) * _scores(partner)
        for key in ('gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags'):
            results[key] = np.concatenate([results[key], partner[key]])
        results.update(
            volume=mixed,
            gt_bboxes_scores=np.concatenate(scores),
            annotated=all(r.get('annotated', True) for r in (results, partner)),
        )
        return results


@TRANSFORMS.register_module()
class ObjectMixUp(BaseMixUp):
    """Mix the voxels of each object with those of another object, in place.

    The paper states: for each object another object of the batch is drawn, rescaled to the same
    size and mixed by equations 10 to 12; targets are not mixed; image-level MixUp comes first. It
    does not state, so our choices are: a lambda for each object; partners are drawn uniformly,
    never the object itself; rescaling is trilinear, edges on edges; an object is the voxels whose
    centers lie in its box, at least one, and of a box across the border the part inside; eta.
    Partners give their voxels as they were before any object was mixed.

    In a pipeline the objects are the sample's lesions that are not ignored, and partners are such
    lesions of ``mix_results``. Required keys: ``volume``, which is changed, then float32,
    ``gt_bboxes``, ``gt_ignore_flags``, ``mix_results``. Used and changed where present: ``rng``.

    Args:
        eta: Parameter of Beta(eta, eta); 0 turns mixing off. Defaults to 0.2.
        p: Probability that an object is mixed. Defaults to 1.0.
        num_channels: Channels that are image and are mixed, as in :class:`ImageMixUp`. Defaults to
            ``None``, all.
    """

    of_objects = True  # read by the detector: `mix` takes boxes, not targets

    def __init__(self, eta: float = 0.2, p: float = 1.0, num_channels: int | None = None) -> None:
        super().__init__(eta, p, num_channels)

    def mix(
        self, inputs: Tensor, targets: Sequence[Tensor], rng: np.random.Generator
    ) -> tuple[Tensor, Sequence[Tensor], Tensor, Tensor]:
        """Mix the objects of a batch. With fewer than two it stays as it is.

        Args:
            inputs: (B, C, D, H, W) float.
            targets: Boxes (K_i, 6) in voxel edges of the objects of each patch. Flat boxes and
                those outside the patch are no objects.
            rng: The only source of randomness.

        Returns:
            Mixed inputs, ``targets`` as they came, and of all M boxes, numbered through the
            patches, partner (M,) int64 and lambda' (M,) float32; a box that could not be mixed
            is its own partner with lambda' = 1.

        Raises:
            ValueError: If ``targets`` is not one tensor for each patch.
        """
        if len(targets) != len(inputs):
            raise ValueError(
                f'{len(inputs)} patches need as many tensors of boxes, found {len(targets)}'
            )
        objects = [
            (row, region)
            for row, boxes in enumerate(targets)
            for region in voxel_regions(boxes.detach().float().cpu().numpy(), inputs.shape[2:])
        ]
        partner, lam = self._draw([region is not None for _, region in objects], rng)
        numbers = np.flatnonzero(lam < 1)
        image, mixed = inputs[:, : self.num_channels], inputs.clone() if len(numbers) else inputs
        for number in numbers:
            (row, region), (source, other) = objects[number], objects[partner[number]]
            mix_region(
                mixed[row, : self.num_channels],
                region,
                image[(source, slice(None), *other)],
                float(lam[number]),
            )
        drawn = (torch.from_numpy(values).to(inputs.device) for values in (partner, lam))
        return mixed, targets, *drawn

    def _draw(
        self, solid: Sequence[bool], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Partners and weights (M,) of M boxes, of which only ``solid`` ones are mixed."""
        partner, lam = np.arange(len(solid)), np.ones(len(solid), np.float32)
        objects = np.flatnonzero(solid)
        number = len(objects)
        if number > 1:
            # A step of 1 to M - 1 round a circle of M never comes back to where it started.
            steps = rng.integers(1, number, number)
            partner[objects] = objects[(np.arange(number) + steps) % number]
            lam[objects] = self.draw_lambda(number, rng)
        return partner, lam

    def transform(self, results: dict) -> dict:
        rng, regions = sample_generator(results), _lesion_regions(results)
        others = [
            (partner['volume'][: self.num_channels], region)
            for partner in results['mix_results']
            for region in _lesion_regions(partner)
        ]
        if not regions or not others:
            return results
        results['volume'] = results['volume'].astype(np.float32)
        image = torch.from_numpy(results['volume'])[: self.num_channels]
        chosen = rng.integers(len(others), size=len(regions))
        for region, number, lam in zip(
            regions, chosen, self.draw_lambda(len(regions), rng), strict=True
        ):
            volume, other = others[number]
            voxels = volume[(slice(None), *other)].astype(np.float32)
            mix_region(image, region, torch.from_numpy(voxels), float(lam))
        return results


def _mixed(values: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
    """lam * values + (1 - lam) * values of the partners, by row; exact where lam is 1."""
    weight = lam.to(values.dtype).view(-1, *[1] * (values.dim() - 1))
    return values[partner].lerp_(values, weight)


def _scores(results: dict) -> np.ndarray:
    ones = np.ones(len(results['gt_bboxes']), np.float32)
    return results.get('gt_bboxes_scores', ones)


def _lesion_regions(results: dict) -> list[Region]:
    boxes = results['gt_bboxes'][~results['gt_ignore_flags']]
    regions = voxel_regions(boxes, results['volume'].shape[1:])
    return [region for region in regions if region is not None]
