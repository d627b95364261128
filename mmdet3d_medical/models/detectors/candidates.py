"""Which part of a larger unlabeled patch to learn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmdet.structures import DetDataSample
from torch import Tensor, nn

from mmdet3d_medical.datasets.transforms.crop import start_around
from mmdet3d_medical.registry import TASK_UTILS

from .guess import distinct, guessing


@TASK_UTILS.register_module()
class CandidateCrop:
    """Cut unlabeled patches around what the model takes for lesions, or anywhere.

    Few patches that lie anywhere in a scan show a lesion. Here the data set delivers larger ones,
    the model looks at them once, without gradient, and of each a part of the labeled patches' size
    goes on. Candidates are the priors with a probability of at least ``score_thr`` that NMS leaves;
    one is drawn with a chance proportional to its probability. A patch without a candidate is
    cut anywhere. Not from the paper.

    ``prob`` below 1 keeps patches whose place does not depend on the model, or it would never be
    taught where it sees nothing.

    Args:
        size: Of the part (D, H, W), that of the labeled patches.
        prob: Probability that a patch is cut around a candidate, where it has one; in [0, 1].
            The model looks at these patches only.
        score_thr: Lowest probability of a candidate, in (0, 1].
        jitter: How far the candidate may lie from the middle: 0 is the middle, 1 is touching the
            border of the part, in [0, 1]. Default: as of labeled patches in ``RandomCrop3D``.
        per_forward: Large patches that go through the network together; bounds the memory.

    Raises:
        ValueError: For values outside these ranges.
    """

    def __init__(
        self,
        size: Sequence[int],
        prob: float = 0.5,
        score_thr: float = 0.3,
        jitter: float = 0.8,
        per_forward: int = 1,
    ):
        if len(size) != 3 or min(size) < 1:
            raise ValueError(f'size must be three positive voxel counts (D, H, W), found {size}')
        if not (0 <= prob <= 1 and 0 <= jitter <= 1 and 0 < score_thr <= 1):
            raise ValueError(
                'expected prob and jitter in [0, 1] and score_thr in (0, 1], found '
                f'{prob}, {jitter} and {score_thr}'
            )
        if per_forward < 1:
            raise ValueError(f'per_forward must be at least 1, found {per_forward}')
        self.size = np.array(size)
        self.prob = prob
        self.score_thr = score_thr
        self.jitter = jitter
        self.per_forward = per_forward

    def __call__(
        self,
        detector: nn.Module,
        inputs: Tensor,
        samples: Sequence[DetDataSample],
        statistics: str,
        rng: np.random.Generator,
    ) -> tuple[Tensor, list[DetDataSample]]:
        """Cut each patch of a batch.

        Args:
            detector: The model that guesses, with ``extract_feat`` and a ``bbox_head`` that meets
                the protocol.
            inputs: (B, C, D, H, W).
            samples: Of each patch.
            statistics: Of batch normalisation, see :class:`TargetGuesser`.
            rng: Draws the places.

        Returns:
            Patches (B, C, *size), and samples with only the meta information of these: ``geometry``
            tells the new place, annotations are left behind.

        Raises:
            ValueError: If a patch is smaller than ``size``.
        """
        shapes = [self._checked_shape(sample, inputs) for sample in samples]
        starts = [rng.integers(shape - self.size + 1) for shape in shapes]
        chosen = np.flatnonzero(rng.random(len(inputs)) < self.prob).tolist()
        boxes = self._candidates(detector, inputs[chosen], statistics, rng)
        for row, box in zip(chosen, boxes, strict=True):
            if box is not None:
                start = start_around(box, self.size, self.jitter, rng)
                starts[row] = np.clip(start, 0, shapes[row] - self.size)
        parts = [self._part(patch, start) for patch, start in zip(inputs, starts, strict=True)]
        moved = [self._moved(*pair) for pair in zip(samples, starts, strict=True)]
        return torch.stack(parts), moved

    def _checked_shape(self, sample: DetDataSample, inputs: Tensor) -> np.ndarray:
        """(3,) of the patch without padding."""
        shape = np.array(sample.metainfo.get('volume_shape', inputs.shape[2:]))
        if (shape < self.size).any():
            raise ValueError(
                f'CandidateCrop cuts {tuple(self.size.tolist())} voxels from unlabeled patches, '
                f'found one of {tuple(shape.tolist())} (scan {sample.metainfo.get("scan_id")}): '
                'let the pipeline of the unlabeled scans crop larger patches'
            )
        return shape

    @torch.no_grad()
    def _candidates(
        self, detector: nn.Module, inputs: Tensor, statistics: str, rng: np.random.Generator
    ) -> list[np.ndarray | None]:
        """A candidate (6,) of each patch, in its voxels, where it has any."""
        head = detector.bbox_head
        priors = head.priors(tuple(inputs.shape[2:]))
        drawn = []
        with guessing(detector, statistics):
            for part in inputs.split(self.per_forward) if len(inputs) else ():
                logits, _ = head.flatten(head(detector.extract_feat(part)))
                drawn += [self._draw(row, priors, rng) for row in logits.float().sigmoid()]
        return drawn

    def _draw(self, cls: Tensor, priors: Tensor, rng: np.random.Generator) -> np.ndarray | None:
        scores = cls.amax(dim=-1)
        found = distinct(priors, scores, self.score_thr)
        if not len(found):
            return None
        weight = scores[found].double().cpu().numpy()
        return priors[found[rng.choice(len(found), p=weight / weight.sum())]].cpu().numpy()

    def _part(self, patch: Tensor, start: np.ndarray) -> Tensor:
        index = map(slice, start.tolist(), (start + self.size).tolist())
        return patch[(slice(None), *index)]

    def _moved(self, sample: DetDataSample, start: np.ndarray) -> DetDataSample:
        size = tuple(self.size.tolist())
        meta = dict(sample.metainfo, volume_shape=size, batch_input_shape=size)
        if 'geometry' in meta:
            meta['geometry'] = meta['geometry'].cropped(start, size)
        return DetDataSample(metainfo=meta)
