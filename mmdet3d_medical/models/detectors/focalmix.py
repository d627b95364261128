"""FocalMix: semi-supervised training of any dense 3D detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import chain
from types import NoneType
from typing import Any

import numpy as np
import torch
from mmdet.models.detectors import BaseDetector
from mmdet.structures import DetDataSample
from mmengine.dist import get_rank
from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn

from mmdet3d_medical.registry import MODELS, TRANSFORMS
from mmdet3d_medical.utils.random import generator

from ..data_preprocessors import BranchDataPreprocessor
from ..dense_heads.targets import DenseTargets, missing_of_protocol, rows_of
from ..layers import recomputing
from .dense3d import targets_of
from .guess import Guess, TargetGuesser

Samples = list[DetDataSample]


@MODELS.register_module()
class FocalMixDetector(BaseDetector):
    """Wraps a detector and trains it on labeled and unlabeled patches (arXiv 2003.09108).

    Of the wrapped detector it uses ``extract_feat`` and a ``bbox_head`` that meets
    :class:`~mmdet3d_medical.models.dense_heads.DenseTargetHead`; object-level MixUp of unlabeled
    patches needs the head's ``decode`` too. In testing it is the wrapped detector.

    Loads plain checkpoints too; the way back is ``mmdet3d-medical focalmix-to-plain``.

    Args:
        detector: Config of the detector. Its classification loss should be ``SoftFocalLoss``, and
            sampling of background should be off, as targets are soft. To start from a checkpoint
            give it ``init_cfg=dict(type='Pretrained', checkpoint=...)`` or set ``load_from``.
        views: Arguments of :class:`RandomViews`, in which unlabeled patches are seen. Channels that
            the detector's preprocessor adds, such as positions, are no image to these and to MixUp,
            unless they say ``num_channels``.
        temperature: T of :func:`sharpen`, 0 for hard pseudo-labels, 1 for none.
        center: Of :func:`sharpen`; with ``temperature=0`` the threshold of pseudo-labels.
        bn_stats: Of batch normalization while guessing, see :class:`TargetGuesser`.
        score_thr: Lowest target of an object on unlabeled patches, for object-level MixUp.
        ignore_range: Probabilities (low, high) between which guesses are left out, see
            :class:`TargetGuesser`.
        image_mixup: Config of ``ImageMixUp``, or None.
        object_mixup: Config of ``ObjectMixUp``, or None.
        unsup_weight: Weight of the unlabeled patches' loss; ``SemiSupervisedHook`` ramps it up.
        unsup_loss: Config of a classification loss of the unlabeled patches, called as
            ``SoftFocalLoss`` is, divided by the same count of positives. Default: the head's own
            losses.
        teacher: ``dict(momentum=m)`` guesses with a moving average of the detector, parameters
            and buffers: teacher = (1 - m) * teacher + m * detector after each step, done by
            ``SemiSupervisedHook``. It starts where the detector is, with momentum 0 it stays
            there. Default: the detector itself guesses, as in the paper.
        seed: Views and MixUp are drawn from (seed, number of the step, rank). The number is
            kept in checkpoints, so a resumed training draws the same.
        data_preprocessor: Default: the detector's, for each branch, and ``VolumeDataPreprocessor``
            where it has none of its own.
        init_cfg: As in mmengine's ``BaseModule``.

    Attributes:
        last_guess: The :class:`Guess` of the last step, or None if it had no unlabeled patches.

    Raises:
        TypeError: If the detector lacks a part of the protocol.
    """

    def __init__(
        self,
        detector: dict,
        views: dict = dict(num=4),  # noqa: B006 (never changed)
        temperature: float = 0.7,
        center: float = 0.5,
        bn_stats: str = 'batch',
        score_thr: float = 0.9,
        ignore_range: tuple[float, float] = (0.0, 0.0),
        image_mixup: dict | None = dict(type='ImageMixUp', eta=0.2),  # noqa: B006
        object_mixup: dict | None = dict(type='ObjectMixUp', eta=0.2),  # noqa: B006
        unsup_weight: float = 1.0,
        unsup_loss: dict | None = None,
        teacher: dict | None = None,
        seed: int = 0,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list | None = None,
    ):
        built = MODELS.build(detector)
        _check_protocol(built)
        branches = BranchDataPreprocessor(data_preprocessor or _preprocessor_of(built))
        super().__init__(branches, init_cfg)
        self.detector = built
        image = _image_alone(branches.data_preprocessor)
        self.guesser = TargetGuesser(
            dict(image, **views), temperature, center, bn_stats, score_thr, ignore_range
        )
        self.image_mixup = _mixup(image_mixup, image)
        self.object_mixup = _mixup(object_mixup, image)
        self.unsup_weight = unsup_weight
        self.unsup_loss = MODELS.build(unsup_loss) if unsup_loss else None
        self.teacher = _teacher_of(built) if teacher else None
        self.momentum = teacher['momentum'] if teacher else 1.0
        self.seed = seed
        self.register_buffer('step', torch.zeros((), dtype=torch.long))
        self.last_guess: Guess | None = None

    def loss(
        self,
        batch_inputs: Tensor | Mapping[str, Tensor],
        batch_data_samples: Samples | Mapping[str, Samples],
    ) -> dict[str, Tensor]:
        """Losses of one step.

        Args:
            batch_inputs: (B, C, D, H, W) labeled patches, or a dict with them under ``sup``
                and unlabeled patches under ``unsup``; either may be missing or empty.
            batch_data_samples: Of each patch; annotations of unlabeled ones are not looked at.

        Returns:
            The head's losses of the labeled patches, and of the unlabeled ones with the prefix
            ``unsup_`` and weighted. Nothing is guessed about boxes, so the latter regress none,
            but for annotated ones that ``ImageMixUp(box='both')`` mixes in.

        Raises:
            ValueError: If there is no patch, patches differ in shape, or a labeled one is of a
                scan without annotations.
        """
        if not isinstance(batch_inputs, Mapping):
            batch_inputs, batch_data_samples = dict(sup=batch_inputs), dict(sup=batch_data_samples)
        batch_inputs = {name: part for name, part in batch_inputs.items() if len(part)}
        if self.teacher is not None and self.step == 0:
            self.update_teacher(momentum=1.0)  # weights were initialized or loaded meanwhile
        rng = generator('views and MixUp', self.seed, int(self.step), get_rank())
        inputs, parts, self.last_guess = _joined(batch_inputs), [], None
        if 'sup' in batch_inputs:
            parts.append(self._labeled(batch_inputs['sup'], batch_data_samples['sup']))
        if 'unsup' in batch_inputs:
            parts.append(self._unlabeled(batch_inputs['unsup'], batch_data_samples['unsup'], rng))
        self.step += 1
        targets = DenseTargets.cat([targets for targets, _ in parts])
        objects = [boxes for _, part in parts for boxes in part]
        if self.image_mixup is not None:
            inputs, targets, *_ = self.image_mixup.mix(inputs, targets, rng)
        if self.object_mixup is not None:
            inputs, *_ = self.object_mixup.mix(inputs, objects, rng)
        outs = self._forward(inputs)
        return self._losses(outs, targets, len(batch_inputs.get('sup', ())))

    @property
    def guessing_model(self) -> nn.Module:
        """The teacher, where there is one, else the detector."""
        return self.detector if self.teacher is None else self.teacher

    def _labeled(self, inputs: Tensor, samples: Samples) -> tuple[DenseTargets, list[Tensor]]:
        """Targets and objects from annotations."""
        targets = targets_of(self.detector.bbox_head, samples, tuple(inputs.shape[2:]))
        return targets, [sample.gt_instances.bboxes.to(inputs) for sample in samples]

    def _unlabeled(
        self, inputs: Tensor, samples: Samples, rng: np.random.Generator
    ) -> tuple[DenseTargets, list[Tensor]]:
        """Targets and objects that the model guesses; there are no boxes to regress."""
        metas = [sample.metainfo for sample in samples]
        self.last_guess = guess = self.guesser(self.guessing_model, inputs, rng, metas)
        box = guess.cls.new_zeros(*guess.cls.shape[:2], guess.box_width)
        no_box = torch.zeros_like(guess.weight)
        return DenseTargets(guess.cls, guess.weight, box, no_box), guess.boxes

    def _losses(self, outs: Any, targets: DenseTargets, num_labeled: int) -> dict[str, Tensor]:
        """L_l + w L_u: MixUp leaves a row with the role of its dominant patch, labeled first."""
        if self.last_guess is None:
            return self.detector.bbox_head.loss_by_targets(outs, targets)
        labeled, unlabeled = slice(num_labeled), slice(num_labeled, None)
        losses = {}
        if num_labeled:
            losses = self.detector.bbox_head.loss_by_targets(
                rows_of(outs, labeled), targets.rows(labeled)
            )
        unsup = self.unsup_losses(rows_of(outs, unlabeled), targets.rows(unlabeled))
        weighted = {f'unsup_{name}': self.unsup_weight * loss for name, loss in unsup.items()}
        return {**losses, **weighted}

    def unsup_losses(self, outs: Any, targets: DenseTargets) -> dict[str, Tensor]:
        """Losses of unlabeled patches for guessed targets, not weighted."""
        head = self.detector.bbox_head
        if self.unsup_loss is None:
            return head.loss_by_targets(outs, targets)
        logits, _ = head.flatten(outs)
        number = targets.num_positives()
        loss = self.unsup_loss(logits, targets.cls, targets.cls_weight, avg_factor=number)
        return dict(loss_cls=loss)

    def restart(self) -> None:
        """Count steps from 0: the next one sets the teacher, if any, to the detector."""
        self.step.zero_()

    @torch.no_grad()
    def update_teacher(self, momentum: float | None = None) -> None:
        """Move the teacher toward the detector; counters in buffers are copied."""
        momentum = self.momentum if momentum is None else momentum
        for average, current in zip(_state(self.teacher), _state(self.detector), strict=True):
            if average.is_floating_point():
                average.lerp_(current, momentum)
            else:
                average.copy_(current)

    def extract_feat(self, batch_inputs: Tensor) -> Sequence[Tensor]:
        """Feature maps of the wrapped detector."""
        return self.detector.extract_feat(batch_inputs)

    def test_step(self, data: dict) -> Samples:
        """The wrapped detector's, which may preprocess scans tile by tile.

        Where FocalMix was given a ``data_preprocessor`` of its own, that one takes scans whole.
        """
        detector = self.detector
        own = getattr(detector, 'data_preprocessor', None)
        if own is self.data_preprocessor.data_preprocessor and hasattr(detector, 'test_step'):
            return detector.test_step(data)
        return super().test_step(data)

    def val_step(self, data: dict) -> Samples:
        """The same as :meth:`test_step`."""
        return self.test_step(data)

    def predict(self, batch_inputs: Tensor, batch_data_samples: Samples) -> Samples:
        """Detections of the wrapped detector."""
        return self.detector.predict(batch_inputs, batch_data_samples)

    def _forward(self, batch_inputs: Tensor, batch_data_samples: Samples | None = None) -> Any:
        with recomputing(self.detector):
            return self.detector.bbox_head(self.extract_feat(batch_inputs))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Take weights of a plain detector for the detector's, those for the teacher's."""
        mine, average = f'{prefix}detector.', f'{prefix}teacher.'
        if not any(key.startswith(mine) for key in state_dict):
            for key in [key for key in state_dict if key.startswith(prefix)]:
                state_dict[mine + key.removeprefix(prefix)] = state_dict.pop(key)
            state_dict[f'{prefix}step'] = self.step
        if self.teacher is not None and not any(key.startswith(average) for key in state_dict):
            for key in [key for key in state_dict if key.startswith(mine)]:
                state_dict[average + key.removeprefix(mine)] = state_dict[key]
        super()._load_from_state_dict(state_dict, prefix, *args)


def _preprocessor_of(detector: nn.Module) -> nn.Module | dict:
    """The detector's, unless mmengine gave it the one that only stacks, as it does by default."""
    found = getattr(detector, 'data_preprocessor', None)
    stated = type(found) not in (NoneType, BaseDataPreprocessor)
    return found if stated else dict(type='VolumeDataPreprocessor')


def _image_alone(preprocessor: nn.Module) -> dict:
    """What keeps views and MixUp off the channels that a preprocessor adds at the end."""
    added = getattr(preprocessor, 'added_channels', 0)
    return dict(num_channels=-added) if added else {}


def _mixup(cfg: dict | None, defaults: dict) -> Any:
    return TRANSFORMS.build(dict(defaults, **cfg)) if cfg else None


def _check_protocol(detector: nn.Module) -> None:
    missing = [] if callable(getattr(detector, 'extract_feat', None)) else ['extract_feat']
    head = getattr(detector, 'bbox_head', None)
    missing += [f'bbox_head.{name}' for name in missing_of_protocol(head)]
    if missing:
        raise TypeError(
            f'{type(detector).__name__} lacks {", ".join(missing)}, which FocalMix needs; see '
            'DenseTargetHead in mmdet3d_medical/models/dense_heads/targets.py'
        )


def _joined(batches: Mapping[str, Tensor]) -> Tensor:
    patches = [batches[name] for name in ('sup', 'unsup') if name in batches]
    shapes = {tuple(part.shape[1:]) for part in patches}
    if len(shapes) != 1:
        raise ValueError(
            'labeled and unlabeled patches go through the network together, so the batch needs '
            f'branches "sup" and "unsup" of one shape (C, D, H, W); found {sorted(shapes)} in '
            f'branches {sorted(batches)}'
        )
    return torch.cat(patches)


def _teacher_of(detector: nn.Module) -> nn.Module:
    teacher = deepcopy(detector).requires_grad_(False)
    teacher.is_init = True  # it takes the detector's weights, not random ones of its own
    return teacher


def _state(module: nn.Module) -> chain[Tensor]:
    return chain(module.parameters(), module.buffers())
