"""Convolutions of one patch on a CPU by oneDNN.

torch leaves convolutions of a batch of one to a slow implementation of its own where the input has
few channels and rows: ``use_mkldnn`` in ATen's Convolution.cpp. Detectors look at a scan tile by
tile, so most of their convolutions are of this kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

Sides = int | Sequence[int]


class OneDNNConvolutions(TorchFunctionMode):
    """While it is entered, ``conv3d`` of one float32 patch on a CPU is oneDNN's.

    The outputs are the same but for rounding. For inference; all else is as before.
    """

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.conv3d and _is_for_onednn(args[0]):
            return _conv3d(*args, **kwargs)
        return func(*args, **kwargs)


def _is_for_onednn(x: Tensor) -> bool:
    return (
        x.dim() == 5
        and len(x) == 1
        and x.device.type == 'cpu'
        and x.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled('cpu')
        and torch.backends.mkldnn.is_available()
    )


def _conv3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sides = 1,
    padding: Sides | str = 0,
    dilation: Sides = 1,
    groups: int = 1,
) -> Tensor:
    if isinstance(padding, str):  # 'same' may add more on one side
        return torch.conv3d(x, weight, bias, stride, padding, dilation, groups)
    padding, stride, dilation = (_triple(sides) for sides in (padding, stride, dilation))
    return torch.ops.aten.mkldnn_convolution(x, weight, bias, padding, stride, dilation, groups)


def _triple(sides: Sides) -> list[int]:
    return [sides] * 3 if isinstance(sides, int) else list(sides)
