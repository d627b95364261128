"""Group normalization: PyTorch's, by shared reductions, and compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from timing import measure
from torch import Tensor

from mmdet3d_medical.models.layers import split_group_norm

from .rows import Row, Settings, attempt

GROUPS = 8  # of the heads
SHAPES = {  # maps in a head for LUNA16, 8 patches of 160^3 at stride 4 and 8, and MONAI's
    'full': ((8, 64, 40, 40, 40), (8, 64, 20, 20, 20), (1, 256, 64, 32, 32)),
    'shrunk': ((2, 16, 8, 8, 8),),
}
TOLERANCE = dict(rtol=1e-3, atol=1e-3)


def rows(settings: Settings) -> Iterator[Row]:
    """Forward, and forward with backward, of each way; the difference from PyTorch's."""
    for shape in SHAPES['shrunk' if settings.shrink else 'full']:
        yield from _of_shape(settings, shape)


def _of_shape(settings: Settings, shape: tuple[int, ...]) -> Iterator[Row]:
    torch.manual_seed(0)
    x = torch.randn(shape, device=settings.device, requires_grad=True)
    weight, bias = (torch.rand(shape[1], device=settings.device, requires_grad=True) for _ in '12')
    expected = _plain(x, weight, bias)
    for name, norm in ways(settings).items():
        what = dict(way=name, maps='x'.join(map(str, shape)))
        inputs = x, weight, bias
        yield attempt(what, lambda norm=norm, i=inputs: _numbers(settings, norm, i, expected))


def ways(settings: Settings) -> dict[str, Callable]:
    """Functions of maps (B, C, D, H, W), weight and bias (C,)."""
    backend = 'eager' if settings.shrink else 'inductor'
    return {
        'torch group_norm': _plain,
        'SplitGN': lambda x, weight, bias: split_group_norm(x, GROUPS, weight, bias, 1e-5),
        f'torch.compile ({backend})': torch.compile(_plain, backend=backend, dynamic=False),
    }


def _plain(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.group_norm(x, GROUPS, weight, bias, 1e-5)


def _numbers(settings: Settings, norm: Callable, inputs: tuple, expected: Tensor) -> Row:
    difference = (norm(*inputs) - expected).abs().max().item()

    @torch.no_grad()
    def forward():
        norm(*inputs)

    def both():
        torch.autograd.grad(norm(*inputs).sum(), inputs)

    calls = {'forward': forward, 'forward and backward': both}
    found = measure(calls, settings.repeat, settings.on_gpu, settings.warm_up)
    seconds = {f'{name}, ms': 1000 * numbers['seconds'] for name, numbers in found.items()}
    return {**seconds, 'largest difference': difference}
