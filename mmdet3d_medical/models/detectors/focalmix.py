"""FocalMix: semi-supervised training of any dense 3D detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

import numpy as np
import torch
from mmdet.models.detectors import BaseDetector
from mmdet.structures import DetDataSample
from mmengine.dist import get_rank
from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn

from mmdet3d_medical.registry import MODELS, TASK_UTILS, TRANSFORMS
from mmdet3d_medical.utils.random import generator

from ..data_preprocessors import BranchDataPreprocessor
from ..dense_heads.targets import DenseTargets, missing_of_protocol, predict, rows_of
from ..layers import recomputing
from ..semi import Guess, UnlabeledLoss
from .dense3d import targets_of

Samples = list[DetDataSample]
TESTED = ('student', 'teacher')
MIXERS = ('image', 'object')


@MODELS.register_module()
class FocalMixDetector(BaseDetector):
    """Wraps a detector and trains it on labeled and unlabeled patches (arXiv 2003.09108).

    Its parts make it FocalMix, or another method: ``configs/_base_/methods``.

    Of the wrapped detector it uses ``extract_feat`` and a ``bbox_head`` that meets
    :class:`~mmdet3d_medical.models.dense_heads.DenseTargetHead`; object-level MixUp of unlabeled
    patches and ``BoxTargets`` need the head's ``decode`` too. In testing it is the wrapped
    detector.

    Loads plain checkpoints too; the way back is ``mmdet3d-medical focalmix-to-plain``.

    Args:
        detector: Config of the detector. Its classification loss should be ``SoftFocalLoss``, and
            sampling of background should be off, as targets are soft. To start from a checkpoint
            give it ``init_cfg=dict(type='Pretrained', checkpoint=...)`` or set ``load_from``.
        targets: Config of how targets of unlabeled patches are made:
            :class:`~mmdet3d_medical.models.semi.AnchorTargets` or
            :class:`~mmdet3d_medical.models.semi.BoxTargets`. Channels that the detector's
            preprocessor adds, such as positions, are no image to its views and to MixUp, unless
            these say ``num_channels``.
        teacher: Config of who makes them: ``EMATeacher``, ``FrozenTeacher`` or
            ``EnsembleTeacher``; ``SemiSupervisedHook`` moves it. Default: the detector itself, as
            in the paper.
        student: Configs of what the trained detector sees of unlabeled patches, such as
            ``StrongNoise``: changes after the targets were made, before MixUp.
        mixers: Config of MixUp by name, in their order, or None in the place of one:
            ``ImageMixUp`` for ``image``, ``ObjectMixUp`` for ``object``.
        unsup: Arguments of :class:`~mmdet3d_medical.models.semi.UnlabeledLoss`: ``weight``,
            ``loss`` and ``divide_by``.
        predict_on: Which is tested, 'student' or 'teacher'.
        seed: Views and MixUp are drawn from (seed, number of the step, rank). The number is
            kept in checkpoints, so a resumed training draws the same.
        data_preprocessor: Default: the detector's, for each branch, and ``VolumeDataPreprocessor``
            where it has none of its own.
        init_cfg: As in mmengine's ``BaseModule``.

    Attributes:
        last_guess: The ``Guess`` of the last step, or None if it had no unlabeled patches.
        last_positives: Positive priors of the last step's labeled and unlabeled patches, after
            MixUp.
        mixing: Whether MixUp is on; ``SemiSupervisedHook`` turns it off for the last steps.

    Raises:
        TypeError: If the detector lacks a part of the protocol, or what its targets need.
        ValueError: For an unknown ``predict_on`` or name of a mixer, or a teacher to test where
            there is none.
    """

    def __init__(
        self,
        detector: dict,
        targets: dict = dict(type='AnchorTargets'),  # noqa: B006 (never changed)
        teacher: dict | None = None,
        student: Sequence[dict] = (),
        mixers: Mapping[str, dict | None] = dict(  # noqa: B006
            image=dict(type='ImageMixUp', eta=0.2), object=dict(type='ObjectMixUp', eta=0.2)
        ),
        unsup: dict = dict(weight=1.0),  # noqa: B006
        predict_on: str = 'student',
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
        self.targets = TASK_UTILS.build(targets)
        _check_decode(built, self.targets)
        if self.targets.views.num_channels is None:
            self.targets.views.num_channels = image.get('num_channels')
        self.teacher = MODELS.build(teacher) if teacher else None
        if self.teacher is not None:
            self.teacher.attach(built)
        _check_tested(predict_on, self.teacher)
        self.student = [TASK_UTILS.build(view) for view in student]
        self.image_channels = image.get('num_channels')
        self.value_range = getattr(branches.data_preprocessor, 'value_range', (-1.0, 1.0))
        if unknown := sorted({*mixers} - {*MIXERS}):
            raise ValueError(f'mixers are named {" and ".join(MIXERS)}, found {unknown}')
        self.mixers = [TRANSFORMS.build({**image, **cfg}) for cfg in mixers.values() if cfg]
        self.mixing = True
        self.unsup = UnlabeledLoss(**unsup)
        self.predict_on = predict_on
        self.seed = seed
        self.register_buffer('step', torch.zeros((), dtype=torch.long))
        self.last_guess: Guess | None = None
        self.last_positives: dict[str, Tensor | float] = {}

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
            ``unsup_`` and weighted. ``AnchorTargets`` guess nothing about boxes, so the latter then
            regress none, but for annotated ones that ``ImageMixUp(box='both')`` mixes in.

        Raises:
            ValueError: If there is no patch, patches differ in shape, or a labeled one is of a
                scan without annotations.
        """
        if not isinstance(batch_inputs, Mapping):
            batch_inputs, batch_data_samples = dict(sup=batch_inputs), dict(sup=batch_data_samples)
        batch_inputs = {name: part for name, part in batch_inputs.items() if len(part)}
        if self.teacher is not None and self.step == 0:
            self.teacher.begin(self.detector)  # weights were initialized or loaded meanwhile
        rng = generator('views and MixUp', self.seed, int(self.step), get_rank())
        _check_shapes(batch_inputs)
        seen, parts, self.last_guess = [], [], None
        if 'sup' in batch_inputs:
            seen.append(batch_inputs['sup'])
            parts.append(self._labeled(batch_inputs['sup'], batch_data_samples['sup']))
        if 'unsup' in batch_inputs:
            parts.append(self._unlabeled(batch_inputs['unsup'], batch_data_samples['unsup'], rng))
            seen.append(self._strong(batch_inputs['unsup']))
        self.step += 1
        targets = DenseTargets.cat([targets for targets, _ in parts])
        objects = [boxes for _, part in parts for boxes in part]
        inputs, targets = self._mixed(torch.cat(seen), targets, objects, rng)
        labeled = len(batch_inputs.get('sup', ()))
        with recomputing(self.detector):
            feats = self.extract_feat(inputs)
            outs = predict(self.detector.bbox_head, feats, _rows_with_boxes(targets, labeled))
        return self._losses(outs, targets, labeled)

    @property
    def guessing_models(self) -> Sequence[nn.Module]:
        """The teacher's detectors, where there is a teacher, else the detector."""
        return [self.detector] if self.teacher is None else self.teacher.models

    @property
    def tested(self) -> nn.Module:
        """The detector that is tested, packed and shipped."""
        return self.detector if self.predict_on == 'student' else self.teacher.model

    def _labeled(self, inputs: Tensor, samples: Samples) -> tuple[DenseTargets, list[Tensor]]:
        """Targets and objects from annotations."""
        targets = targets_of(self.detector.bbox_head, samples, tuple(inputs.shape[2:]))
        return targets, [sample.gt_instances.bboxes.to(inputs) for sample in samples]

    def _unlabeled(
        self, inputs: Tensor, samples: Samples, rng: np.random.Generator
    ) -> tuple[DenseTargets, list[Tensor]]:
        """Targets and objects that are guessed."""
        metas = [sample.metainfo for sample in samples]
        self.last_guess = guess = self.targets(self.guessing_models, inputs, rng, metas)
        return guess.targets, guess.boxes

    def _strong(self, inputs: Tensor) -> Tensor:
        """Unlabeled patches as the student sees them, by draws that move no others."""
        if not self.student:
            return inputs
        rng = generator('strong views', self.seed, int(self.step), get_rank())
        low, high = self.value_range
        middle, half = (high + low) / 2, (high - low) / 2
        image = (inputs[:, : self.image_channels] - middle) / half
        for view in self.student:
            image = view(image, rng)
        return torch.cat([image * half + middle, inputs[:, image.shape[1] :]], dim=1)

    def _mixed(
        self,
        inputs: Tensor,
        targets: DenseTargets,
        objects: list[Tensor],
        rng: np.random.Generator,
    ) -> tuple[Tensor, DenseTargets]:
        """Patches and their targets after MixUp of whole patches and of objects."""
        for mixer in self.mixers if self.mixing else ():
            if getattr(mixer, 'of_objects', False):
                inputs, *_ = mixer.mix(inputs, objects, rng)
            else:
                inputs, targets, *_ = mixer.mix(inputs, targets, rng)
        return inputs, targets

    def _losses(self, outs: Any, targets: DenseTargets, num_labeled: int) -> dict[str, Tensor]:
        """L_l + w L_u: MixUp leaves a row with the role of its dominant patch, labeled first."""
        head = self.detector.bbox_head
        if self.last_guess is None:
            return head.loss_by_targets(outs, targets)
        parts = slice(num_labeled), slice(num_labeled, None)
        labeled, unlabeled = map(targets.rows, parts)
        self.last_positives = dict(
            positives=labeled.mean_positives() if num_labeled else 0.0,
            unsup_positives=unlabeled.mean_positives(),
        )
        losses = head.loss_by_targets(rows_of(outs, parts[0]), labeled) if num_labeled else {}
        known = labeled if num_labeled else None
        return {**losses, **self.unsup(head, rows_of(outs, parts[1]), unlabeled, known)}

    def restart(self) -> None:
        """Count steps from 0: the next one begins with the teacher's first weights."""
        self.step.zero_()
        self.unsup.restart()

    def follow(self) -> None:
        """Move the teacher, if there is one, after a step."""
        if self.teacher is not None:
            self.teacher.follow(self.detector)

    def extract_feat(self, batch_inputs: Tensor) -> Sequence[Tensor]:
        """Feature maps of the wrapped detector."""
        return self.detector.extract_feat(batch_inputs)

    def test_step(self, data: dict) -> Samples:
        """The tested detector's, which may preprocess scans tile by tile.

        Where FocalMix was given a ``data_preprocessor`` of its own, that one takes scans whole.
        """
        detector = self.tested
        own = getattr(detector, 'data_preprocessor', None)
        if own is self.data_preprocessor.data_preprocessor and hasattr(detector, 'test_step'):
            return detector.test_step(data)
        return super().test_step(data)

    def val_step(self, data: dict) -> Samples:
        """The same as :meth:`test_step`."""
        return self.test_step(data)

    def predict(self, batch_inputs: Tensor, batch_data_samples: Samples) -> Samples:
        """Detections of the wrapped detector."""
        return self.tested.predict(batch_inputs, batch_data_samples)

    def _forward(self, batch_inputs: Tensor, batch_data_samples: Samples | None = None) -> Any:
        with recomputing(self.detector):
            return self.detector.bbox_head(self.extract_feat(batch_inputs))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Take weights of a plain detector for the detector's, those for the teacher's.

        A teacher that reads checkpoints of its own does so at the first step.
        """
        mine = f'{prefix}detector.'
        if not any(key.startswith(mine) for key in state_dict):
            for key in [key for key in state_dict if key.startswith(prefix)]:
                state_dict[mine + key.removeprefix(prefix)] = state_dict.pop(key)
            state_dict[f'{prefix}step'] = self.step
        _rename_old_teacher(state_dict, prefix)
        for part in ('teacher.', 'unsup.'):  # whole or not at all: a piece that lacks is told
            if not any(key.startswith(prefix + part) for key in state_dict):
                own = self.state_dict().items()
                state_dict.update({prefix + k: v for k, v in own if k.startswith(part)})
                if part == 'teacher.':
                    state_dict.update(self._teachers_from(state_dict, prefix))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _teachers_from(self, state_dict: dict, prefix: str) -> dict[str, Tensor]:
        """Weights of the detector under the names of an averaged teacher's."""
        mine = f'{prefix}detector.'
        if not hasattr(self.teacher, 'model'):
            return {}
        return {
            f'{prefix}teacher.model.{key.removeprefix(mine)}': value
            for key, value in state_dict.items()
            if key.startswith(mine)
        }


def _rows_with_boxes(targets: DenseTargets, labeled: int) -> int | None:
    """The first rows that have boxes to regress; None for all.

    Those of labeled patches always count, lesions or not: their loss has to reach every weight.
    """
    return None if labeled == 0 or targets.box_weight[labeled:].any() else labeled


def _rename_old_teacher(state_dict: dict, prefix: str) -> None:
    """Give weights of a teacher of before there were several kinds the names of an average's."""
    old, parts = f'{prefix}teacher.', ('model.', 'models.')
    for key in [key for key in state_dict if key.startswith(old)]:
        name = key.removeprefix(old)
        if not name.startswith(parts):
            state_dict[f'{old}model.{name}'] = state_dict.pop(key)


def _preprocessor_of(detector: nn.Module) -> nn.Module | dict:
    """The detector's, unless mmengine gave it the one that only stacks, as it does by default."""
    found = getattr(detector, 'data_preprocessor', None)
    stated = type(found) not in (NoneType, BaseDataPreprocessor)
    return found if stated else dict(type='VolumeDataPreprocessor')


def _image_alone(preprocessor: nn.Module) -> dict:
    """What keeps views and MixUp off the channels that a preprocessor adds at the end."""
    added = getattr(preprocessor, 'added_channels', 0)
    return dict(num_channels=-added) if added else {}


def _check_protocol(detector: nn.Module) -> None:
    missing = [] if callable(getattr(detector, 'extract_feat', None)) else ['extract_feat']
    head = getattr(detector, 'bbox_head', None)
    missing += [f'bbox_head.{name}' for name in missing_of_protocol(head)]
    if missing:
        raise TypeError(
            f'{type(detector).__name__} lacks {", ".join(missing)}, which FocalMix needs; see '
            'DenseTargetHead in mmdet3d_medical/models/dense_heads/targets.py'
        )


def _check_shapes(batches: Mapping[str, Tensor]) -> None:
    shapes = {tuple(part.shape[1:]) for name, part in batches.items() if name in ('sup', 'unsup')}
    if len(shapes) != 1:
        raise ValueError(
            'labeled and unlabeled patches go through the network together, so the batch needs '
            f'branches "sup" and "unsup" of one shape (C, D, H, W); found {sorted(shapes)} in '
            f'branches {sorted(batches)}'
        )


def _check_tested(predict_on: str, teacher: nn.Module | None) -> None:
    if predict_on not in TESTED:
        raise ValueError(f'predict_on must be one of {TESTED}, found {predict_on!r}')
    if predict_on == 'teacher' and not hasattr(teacher, 'model'):
        raise ValueError(
            "predict_on='teacher' needs a teacher that is one detector, say EMATeacher, found "
            f'{type(teacher).__name__ if teacher else None}'
        )


def _check_decode(detector: nn.Module, targets: Any) -> None:
    if targets.needs_decode and not hasattr(detector.bbox_head, 'decode'):
        raise TypeError(
            f'{type(targets).__name__} needs the boxes of detections, but '
            f'{type(detector.bbox_head).__name__} has no `decode`: take AnchorTargets'
        )
