"""The model in training."""

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn


def semi_supervised_model(runner: Runner) -> nn.Module:
    """The ``FocalMixDetector`` that is trained, without what wraps it for several processes.

    Raises:
        TypeError: If another model is trained.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if not hasattr(model, 'unsup'):
        raise TypeError(
            f'SemiSupervisedHook needs a FocalMixDetector, found {type(model).__name__}: '
            'remove the hook from custom_hooks or wrap the detector'
        )
    return model
