"""Weight decay for weights alone."""

from __future__ import annotations

from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from torch import nn

from mmdet3d_medical.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class DecayWeightsOnly:
    """Builds an optimizer that decays kernels and matrices, not biases nor scales of norms.

    Decay draws a scale toward 0 and a bias away from what the data ask for, such as the prior
    probability of a lesion. mmengine's ``paramwise_cfg`` does the same in a group for each
    parameter; two groups let PyTorch update many parameters at once.

    Args:
        optim_wrapper_cfg: Config of an ``OptimWrapper`` with its ``optimizer``.
        paramwise_cfg: Must be None.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        if paramwise_cfg:
            raise ValueError(
                f'DecayWeightsOnly takes no paramwise_cfg, found {paramwise_cfg}: use '
                "constructor='DefaultOptimWrapperConstructor'"
            )
        self.wrapper = dict(optim_wrapper_cfg)
        self.optimizer = self.wrapper.pop('optimizer')

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the wrapper for the parameters of a model that are trained."""
        model = model.module if is_model_wrapper(model) else model
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        groups = [
            dict(params=[weight for weight in trained if weight.dim() > 1]),
            dict(params=[weight for weight in trained if weight.dim() <= 1], weight_decay=0.0),
        ]
        optimizer = OPTIMIZERS.build(
            dict(self.optimizer, params=[group for group in groups if group['params']])
        )
        self.wrapper.setdefault('type', 'OptimWrapper')
        return OPTIM_WRAPPERS.build(dict(self.wrapper, optimizer=optimizer))
