"""Group normalization whose statistics all of a GPU sums up.

PyTorch's kernel gives each group of each patch to one block. Volumes have few groups of many
voxels, 64 of half a million at stride 4 of 8 patches of 160^3, so that most of the GPU waits.
``torch.var_mean`` lets several blocks share a group.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mmdet3d_medical.registry import MODELS


@MODELS.register_module('SplitGN')
class SplitGroupNorm(nn.GroupNorm):
    """``nn.GroupNorm`` with a scale and a shift, on GPUs by :func:`split_group_norm`.

    The same up to rounding, with the same parameters. In configs:
    ``norm_cfg=dict(type='SplitGN', num_groups=8)``. Not measured on a GPU yet;
    ``projects/benchmark/gpu_report.py`` compares it. ``recompute_activations`` leaves it out.
    """

    def __init__(self, num_channels: int, num_groups: int, eps: float = 1e-5):
        super().__init__(num_groups, num_channels, eps)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (B, C, D, H, W)."""
        if not x.is_cuda:
            return super().forward(x)
        return split_group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


def use_split_group_norm(module: nn.Module) -> None:
    """Make every ``nn.GroupNorm`` with a scale and a shift inside a :class:`SplitGroupNorm`."""
    for part in module.modules():
        if type(part) is nn.GroupNorm and part.affine:
            part.__class__ = SplitGroupNorm


def split_group_norm(x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """``F.group_norm`` of (B, C, ...) by reductions that blocks share, in float32.

    Autocast gives it float32 too, as it does ``F.group_norm``. No second derivatives.
    """
    return _SplitGroupNorm.apply(x, groups, weight, bias, eps)


class _SplitGroupNorm(torch.autograd.Function):
    @staticmethod
    @torch.amp.custom_fwd(device_type='cuda', cast_inputs=torch.float32)
    def forward(ctx, x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        x = x.contiguous()
        number, channels = x.shape[:2]
        variance, mean = torch.var_mean(x.view(number, groups, -1), dim=2, correction=0)
        deviation = (variance + eps).rsqrt()
        scale = weight.view(groups, -1) * deviation[..., None]
        shift = bias.view(groups, -1) - mean[..., None] * scale
        ctx.save_for_backward(x, weight, mean, deviation)
        ctx.groups = groups
        shape = number, channels, *[1] * (x.dim() - 2)
        return torch.addcmul(shift.view(shape), x, scale.view(shape))

    @staticmethod
    @once_differentiable
    @torch.amp.custom_bwd(device_type='cuda')
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, deviation = ctx.saved_tensors
        number, channels, *sides = x.shape
        sizes = number, channels, math.prod(sides), ctx.groups
        needed = [ctx.needs_input_grad[index] for index in (0, 2, 3)]
        grads = torch.ops.aten.native_group_norm_backward(
            grad.contiguous(), x, mean, deviation, weight, *sizes, needed
        )
        return grads[0], None, grads[1], grads[2], None
