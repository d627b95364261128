"""Mixed precision where there is no accelerator."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn

from mmdet3d_medical.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Runs the forward pass in bfloat16 on any device, CPUs included.

    mmengine's ``AmpOptimWrapper`` is for accelerators only. bfloat16 has the range of float32, so
    the loss needs no scaling.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast besides what the base class does."""
        with super().optim_context(model), torch.autocast(get_device(), torch.bfloat16):
            yield
