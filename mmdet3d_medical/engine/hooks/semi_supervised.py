"""What happens around the steps of a semi-supervised training."""

from __future__ import annotations

import math

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdet3d_medical.registry import HOOKS

from .guess_log import GuessLogHook
from .trained_model import semi_supervised_model

RAMPS = {
    'linear': lambda part: part,
    # Laine and Aila 2017, arXiv 1610.02242: slow at first, when guesses are at their worst.
    'sigmoid': lambda part: math.exp(-5 * (1 - part) ** 2),
}


@HOOKS.register_module()
class UnlabeledWeightHook(Hook):
    """Ramps up the weight of the unlabeled loss.

    Args:
        rampup_iters: Iterations over which the weight grows from 0 to the model's
            ``unsup.weight``; 0: full weight at once.
        rampup_begin: Iterations before, at weight 0.
        rampup: ``'linear'``, or ``'sigmoid'`` for exp(-5 (1 - t)^2).

    Raises:
        ValueError: For an unknown ramp or negative iterations.
    """

    def __init__(
        self, rampup_iters: int = 0, rampup_begin: int = 0, rampup: str = 'linear'
    ) -> None:
        if rampup not in RAMPS:
            raise ValueError(f'rampup must be one of {sorted(RAMPS)}, found {rampup!r}')
        if min(rampup_iters, rampup_begin) < 0:
            raise ValueError(
                'expected rampup_iters and rampup_begin >= 0, found '
                f'{rampup_iters} and {rampup_begin}'
            )
        self.rampup_iters = rampup_iters
        self.rampup_begin = rampup_begin
        self.rampup = RAMPS[rampup]
        self._full_weight = 0.0

    def before_train(self, runner: Runner) -> None:
        """Remember the full weight."""
        self._full_weight = semi_supervised_model(runner).unsup.weight

    def after_train(self, runner: Runner) -> None:
        """Leave the model as it was configured."""
        semi_supervised_model(runner).unsup.weight = self._full_weight

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Set the weight of the unlabeled loss."""
        factor = self.weight_factor(runner.iter)
        semi_supervised_model(runner).unsup.weight = self._full_weight * factor

    def weight_factor(self, iteration: int) -> float:
        """Share of the full weight in an iteration, in [0, 1]."""
        past = iteration - self.rampup_begin
        if past < 0:
            return 0.0
        return self.rampup(past / self.rampup_iters) if past < self.rampup_iters else 1.0


@HOOKS.register_module()
class TeacherHook(Hook):
    """Moves the model's teacher, if it has one, after each step."""

    def before_train(self, runner: Runner) -> None:
        """Count steps from 0 unless resumed: weights of ``load_from`` are of another training."""
        if runner.iter == 0:
            semi_supervised_model(runner).restart()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Let the teacher follow, unless gradients are accumulated for a step to come."""
        if runner.optim_wrapper.should_update():
            semi_supervised_model(runner).follow()


@HOOKS.register_module()
class MixUpOffHook(Hook):
    """Turns MixUp off for the last part of a training, so that it ends on patches as they are.

    Args:
        share: Of the iterations, the last ones, in [0, 1]; 0 leaves MixUp on.

    Raises:
        ValueError: For a share outside [0, 1].
    """

    def __init__(self, share: float = 0.15) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f'expected a share in [0, 1], found {share}')
        self.share = share

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Turn it on or off."""
        first_off = (1 - self.share) * runner.max_iters
        semi_supervised_model(runner).mixing = runner.iter < first_off

    def after_train(self, runner: Runner) -> None:
        """Leave the model as it was configured."""
        semi_supervised_model(runner).mixing = True


@HOOKS.register_module()
class SemiSupervisedHook(Hook):
    """All that a ``FocalMixDetector`` needs around its steps: several hooks as one.

    Args:
        rampup_iters: Of :class:`UnlabeledWeightHook`.
        rampup_begin: Of :class:`UnlabeledWeightHook`.
        rampup: Of :class:`UnlabeledWeightHook`.
        mixup_off: Share of :class:`MixUpOffHook`. Default: 0, MixUp stays on.
        **log: Arguments of :class:`GuessLogHook`.
    """

    def __init__(
        self,
        rampup_iters: int = 0,
        rampup_begin: int = 0,
        rampup: str = 'linear',
        mixup_off: float = 0.0,
        **log,
    ) -> None:
        self.parts = [
            UnlabeledWeightHook(rampup_iters, rampup_begin, rampup),
            TeacherHook(),
            *[MixUpOffHook(mixup_off)] * (mixup_off != 0),
            GuessLogHook(**log),
        ]

    def before_train(self, runner: Runner) -> None:
        """Those of the parts.

        Raises:
            TypeError: If the model is not a ``FocalMixDetector`` or alike.
        """
        for part in self.parts:
            part.before_train(runner)

    def after_train(self, runner: Runner) -> None:
        """Those of the parts."""
        for part in self.parts:
            part.after_train(runner)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Those of the parts."""
        for part in self.parts:
            part.before_train_iter(runner, batch_idx, data_batch)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Those of the parts."""
        for part in self.parts:
            part.after_train_iter(runner, batch_idx, data_batch, outputs)
