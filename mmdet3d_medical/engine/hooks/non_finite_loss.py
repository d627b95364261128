"""Stops a run that has diverged."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdet3d_medical.registry import HOOKS


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Stops training when a loss or the gradient is NaN or infinite, and names that batch's scans.

    It looks at every iteration: one such batch spoils all weights, and no checkpoint may be saved
    after it. The runner reads the loss in every iteration anyway, so looking costs nothing.

    The gradient's norm is known where ``optim_wrapper.clip_grad`` is set; elsewhere a gradient that
    spoils the weights shows in the next loss. With loss scaling (``AmpOptimWrapper``) an infinite
    norm is normal: that step is skipped and the scale lowered.
    """

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Check the losses and the gradient of this iteration.

        Raises:
            FloatingPointError: If one of them is not finite.
        """
        values = {name: value for name, value in outputs.items() if 'loss' in name}
        wrong = [
            name
            for name, value in (values | _grad_norm(runner)).items()
            if not torch.isfinite(torch.as_tensor(value)).all()
        ]
        if wrong:
            scans = ', '.join(sorted(set(_scan_ids(data_batch['data_samples']))))
            raise FloatingPointError(
                f'{", ".join(wrong)} is not finite in iteration {runner.iter + 1}, on scans '
                f'{scans}. Look at these with mmdet3d-medical check-dataset; if they are '
                'sound, lower `optim_wrapper.optimizer.lr`, clip gradients with '
                '`optim_wrapper.clip_grad=dict(max_norm=10)`, or train without --amp. '
                f'Checkpoints in {runner.work_dir} are from before.'
            )


def _grad_norm(runner: Runner) -> dict[str, float]:
    """The norm of the latest gradient, where it is known and no loss scaler looks after it."""
    norms = runner.message_hub.log_scalars.get('train/grad_norm')
    if norms is None or hasattr(runner.optim_wrapper, 'loss_scaler'):
        return {}
    return {'grad_norm': norms.current()}


def _scan_ids(samples: Mapping | Sequence | object | None) -> Iterator[str]:
    """Scan ids of samples, in lists by branch (as in semi-supervised training) or in one list."""
    if isinstance(samples, Mapping):
        samples = list(samples.values())
    if isinstance(samples, Sequence):
        for sample in samples:
            yield from _scan_ids(sample)
    elif samples is not None:
        yield samples.scan_id
