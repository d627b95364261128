"""How the guesses about unlabeled patches are doing."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdet3d_medical.registry import HOOKS

from .guess_quality import Counts, KnownLesions, count_guesses
from .trained_model import semi_supervised_model

if TYPE_CHECKING:
    from mmdet3d_medical.models.semi import Guess

BINS = (0.0, 0.01, 0.1, 0.5, 0.9, 1.0)  # of the histogram of guessed targets


@HOOKS.register_module()
class GuessLogHook(Hook):
    """Logs how the guesses are doing, and warns when they collapse or run away.

    Every ``interval`` iterations it logs, over the guesses of this process, those that are ignored
    taken for 0:

    * ``unsup_weight``, ``unsup_divisor`` (what the unlabeled loss was divided by), and
      ``positives`` and ``unsup_positives``, the positive priors of both kinds of patches;
    * ``guess_mass``: sum of the targets of a patch, the number of positive priors it stands for;
    * ``guess_above_half``: share of priors with a target of at least 0.5;
    * ``guess_0-0.01`` and so on: share of targets in that range, a histogram;
    * with ``ann_file``, ``guess_recall`` and ``guess_precision`` of lesions over the last patches,
      as :func:`count_guesses` defines them. Annotations are looked up here, by scan id and
      position of the patch, and reach neither model nor loss.

    It warns when over a whole window no prior is guessed to be a lesion, and when too many are.

    Args:
        ann_file: Index with annotations of scans that count as unlabeled, or None.
        interval: Iterations between looks at the guesses.
        window: Looks over which warnings are given, and ten times as many patches over which
            precision and recall are taken.
        max_share: Share of priors guessed at 0.5 or more above which guesses have run away.
            Annotated lesions take 0.01 to 0.1 % of a detector's anchors.

    Raises:
        ValueError: For an interval or window below 1.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        interval: int = 10,
        window: int = 50,
        max_share: float = 0.02,
    ):
        if min(interval, window) < 1:
            raise ValueError(f'expected interval and window >= 1, found {interval} and {window}')
        self.ann_file = ann_file
        self.interval = interval
        self.max_share = max_share
        self._known: KnownLesions | None = None
        self._shares: deque[float] = deque(maxlen=window)
        self._counts: deque[Counts] = deque(maxlen=10 * window)  # of patches

    def before_train(self, runner: Runner) -> None:
        """Read the annotations."""
        self._known = KnownLesions(self.ann_file) if self.ann_file else None

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Look at the guesses."""
        model = semi_supervised_model(runner)
        if model.last_guess is None or not self.every_n_train_iters(runner, self.interval):
            return
        scalars = dict(
            unsup_weight=model.unsup.weight,
            unsup_divisor=float(model.unsup.divisor),
            **{name: float(number) for name, number in model.last_positives.items()},
            **self._describe(_counted(model.last_guess)),
        )
        if self._known is not None:
            scalars.update(self._judge(model.last_guess))
        for name, value in scalars.items():
            runner.message_hub.update_scalar(f'train/{name}', value)
        self._warn(runner)

    def _describe(self, targets: torch.Tensor) -> dict[str, float]:
        """Mass and histogram of targets (B, N, C)."""
        above_half = float((targets >= 0.5).any(dim=-1).float().mean())
        self._shares.append(above_half)
        inner = targets.new_tensor(BINS[1:-1])
        bins = torch.bucketize(targets.flatten(), inner, right=True)
        shares = torch.bincount(bins, minlength=len(BINS) - 1) / targets.numel()
        ranges = zip(BINS[:-1], BINS[1:], shares.tolist(), strict=True)
        return dict(
            guess_mass=float(targets.sum()) / len(targets),
            guess_above_half=above_half,
            **{f'guess_{low:g}-{high:g}': share for low, high, share in ranges},
        )

    def _judge(self, guess: Guess) -> dict[str, float]:
        """Precision and recall over the window, where there is something to divide by."""
        for targets, meta in zip(_counted(guess), guess.metas, strict=True):
            boxes = self._known.in_patch(meta)
            if boxes is not None:
                self._counts.append(count_guesses(targets, guess.priors, *boxes))
        total = Counts(*np.sum(self._counts or [Counts(0, 0, 0, 0)], axis=0).tolist())
        scalars = {}
        if total.lesions:
            scalars['guess_recall'] = total.found / total.lesions
        if total.guesses:
            scalars['guess_precision'] = total.right / total.guesses
        return scalars

    def _warn(self, runner: Runner) -> None:
        if len(self._shares) < self._shares.maxlen:
            return
        mean, iterations = sum(self._shares) / len(self._shares), self.interval * len(self._shares)
        if mean == 0:
            runner.logger.warning(
                f'In {iterations} iterations no prior of an unlabeled patch was guessed at 0.5 or '
                'more: guesses collapse to background. Start from a supervised checkpoint, lower '
                "Sharpen's `center`, raise the loss's alpha for lesions, or ramp the unlabeled "
                'loss up later.'
            )
        elif mean > self.max_share:
            runner.logger.warning(
                f'In {iterations} iterations {mean:.1%} of all priors of unlabeled patches were '
                f'guessed at 0.5 or more (limit {self.max_share:.1%}): guesses run away. Lower '
                "`unsup.weight` or the loss's alpha for lesions, or ramp up later; without soft "
                'alpha and soft beta this is what happens.'
            )
        self._shares.clear()


def _counted(guess: Guess) -> torch.Tensor:
    """Targets (B, N, C), 0 where a prior is ignored."""
    targets = guess.targets
    return targets.cls * (targets.cls_weight > 0)[..., None]
