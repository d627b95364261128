"""Who guesses the targets of unlabeled patches.

A teacher is a module with ``models``, the detectors that guess. ``attach`` gives it the detector
that is trained, ``begin`` is called before the first step, ``follow`` after each.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from itertools import chain

import torch
from torch import Tensor, nn

from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.utils.checkpoints import part_of, read_checkpoint, tested_part, weights_in


@MODELS.register_module()
class EMATeacher(nn.Module):
    """A moving average of the detector (Tarvainen and Valpola 2017, arXiv 1703.01780).

    teacher = (1 - m) * teacher + m * detector after each step, parameters and buffers; counters
    are copied. It begins where the detector does.

    Args:
        momentum: m in [0, 1]. After S steps a share (1 - m)^S of the beginning is left: with 1,500
            steps 22 % at .001, nothing at .01.

    Raises:
        ValueError: For a momentum outside [0, 1].
    """

    def __init__(self, momentum: float = 0.001) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise ValueError(f'expected a momentum in [0, 1], found {momentum}')
        self.momentum = momentum

    def attach(self, detector: nn.Module) -> None:
        self.model = _copy(detector)

    @property
    def models(self) -> list[nn.Module]:
        return [self.model]

    def begin(self, detector: nn.Module) -> None:
        self._move(detector, 1.0)

    def follow(self, detector: nn.Module) -> None:
        self._move(detector, self.momentum)

    @torch.no_grad()
    def _move(self, detector: nn.Module, momentum: float) -> None:
        for average, current in zip(_state(self.model), _state(detector), strict=True):
            if average.is_floating_point():
                average.lerp_(current, momentum)
            else:
                average.copy_(current)


@MODELS.register_module()
class FrozenTeacher(EMATeacher):
    """The detector as it was before the first step."""

    def __init__(self) -> None:
        super().__init__(momentum=0.0)

    def follow(self, detector: nn.Module) -> None:
        """It stays."""


@MODELS.register_module()
class EnsembleTeacher(nn.Module):
    """Several trained detectors of the architecture that is trained; they stay as they are.

    Args:
        checkpoints: Files of detectors, or of FocalMix around them, of which the part is taken that
            was tested.

    Raises:
        ValueError: If there is none.
    """

    def __init__(self, checkpoints: Sequence[str]) -> None:
        super().__init__()
        if isinstance(checkpoints, str) or not checkpoints:
            raise ValueError(f'expected checkpoints=[FILE, ...], found {checkpoints!r}')
        self.checkpoints = list(checkpoints)

    def attach(self, detector: nn.Module) -> None:
        self.models = nn.ModuleList(_copy(detector) for _ in self.checkpoints)

    def begin(self, detector: nn.Module) -> None:
        """Read the checkpoints.

        Raises:
            ValueError: If one is of another architecture.
        """
        for model, path in zip(self.models, self.checkpoints, strict=True):
            content = read_checkpoint(path)
            weights = weights_in(content, path)
            try:
                model.load_state_dict(part_of(weights, tested_part(content)) or weights)
            except RuntimeError as error:
                raise ValueError(
                    f'{path} is not of the detector that is trained: {error}. An ensemble is of '
                    'one architecture'
                ) from error

    def follow(self, detector: nn.Module) -> None:
        """They stay."""


def _copy(detector: nn.Module) -> nn.Module:
    copy = deepcopy(detector).requires_grad_(False)
    copy.is_init = True  # it takes the detector's weights, not random ones of its own
    return copy


def _state(module: nn.Module) -> chain[Tensor]:
    return chain(module.parameters(), module.buffers())
