"""Activations that are not kept for the backward pass, but computed again from what is kept anyway.

A convolution, its normalisation and its activation keep two maps: the convolution's output, for
the normalisation, and the activation's, for the next convolution. The second follows from the first
by a few operations for each voxel. In-place activated batch normalisation (`arXiv:1712.02616
<https://arxiv.org/abs/1712.02616>`_) keeps the second instead, which needs activations that can be
inverted, as ReLU cannot.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

NORMS = (nn.GroupNorm, nn.BatchNorm3d, nn.InstanceNorm3d)
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU)


class RebuiltConvModule(ConvModule):
    """``ConvModule`` whose result can be rebuilt from the output of its convolution.

    Where convolution, group, batch or instance normalisation and a (leaky) ReLU follow each other;
    otherwise, synchronised batch normalisation included, it is a ``ConvModule``.
    """

    def forward(self, x: Tensor, activate: bool = True, norm: bool = True) -> Tensor:
        """As that of ``ConvModule``."""
        if not (activate and norm and torch.is_grad_enabled() and self.can_rebuild):
            return super().forward(x, activate, norm)
        return _NormAct.apply(self, self.conv(x), *self.norm.parameters())

    @property
    def can_rebuild(self) -> bool:
        """Whether its parts are such as can be rebuilt."""
        return (
            self.order == ('conv', 'norm', 'act')
            and not self.with_explicit_padding
            and type(getattr(self, 'activate', None)) in ACTIVATIONS
            and type(self.norm) in NORMS
            and not (isinstance(self.norm, nn.InstanceNorm3d) and self.norm.track_running_stats)
        )


def rebuild_activations(module: nn.Module) -> None:
    """Make every ``ConvModule`` inside a :class:`RebuiltConvModule`.

    Parameters and their names stay. It saves memory within :func:`rebuilding`.
    """
    for part in module.modules():
        if type(part) is ConvModule:
            part.__class__ = RebuiltConvModule


@contextmanager
def rebuilding(module: nn.Module) -> Iterator[None]:
    """Operations within do not keep results of a :class:`RebuiltConvModule` in ``module``."""
    if not any(isinstance(part, RebuiltConvModule) for part in module.modules()):
        yield
        return
    with torch.autograd.graph.saved_tensors_hooks(_pack, _unpack):
        yield


class _NormAct(torch.autograd.Function):
    """Normalisation and activation, of which the input is kept alone.

    The result has the precision of a convolution's output, in which the next one will take it.
    """

    @staticmethod
    def forward(ctx, module: RebuiltConvModule, x: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(x, *parameters)
        ctx.module, ctx.rebuilt = module, None
        return module.activate(module.norm(_as_taken(module.norm, x))).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, out = _rebuild(ctx)
        ctx.rebuilt = None
        return None, *torch.autograd.grad(out, inputs, grad)


@torch.enable_grad()
def _rebuild(ctx) -> tuple[list[Tensor], Tensor]:
    """Inputs and result of a ``_NormAct``, joined by a graph; once for all that need them.

    Without calling modules and with inputs of its own, so that no hook runs twice.
    """
    if ctx.rebuilt is None:
        x, *parameters = inputs = [kept.detach().requires_grad_() for kept in ctx.saved_tensors]
        out = ctx.module.activate.forward(_norm(ctx.module.norm, x, *parameters))
        ctx.rebuilt = inputs, out.to(x.dtype)
    return ctx.rebuilt


def _norm(
    norm: nn.Module, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """As ``norm`` does with these parameters; running statistics stay as they are."""
    x, part = _as_taken(norm, x), dict(weight=weight, bias=bias, eps=norm.eps)
    if isinstance(norm, nn.GroupNorm):
        return F.group_norm(x, norm.num_groups, **part)
    if isinstance(norm, nn.InstanceNorm3d):
        return F.instance_norm(x, **part)
    if norm.training or norm.running_mean is None:
        return F.batch_norm(x, None, None, training=True, **part)
    return F.batch_norm(x, norm.running_mean, norm.running_var, **part)


def _as_taken(norm: nn.Module, x: Tensor) -> Tensor:
    """In the precision that the normalisation takes: autocast turns to float32 for one of them."""
    half = x.dtype in (torch.float16, torch.bfloat16)
    return x.float() if half and isinstance(norm, nn.GroupNorm) else x


class _Origin(NamedTuple):
    """In the place of a result."""

    ctx: Any


def _pack(tensor: Tensor) -> Tensor | _Origin:
    made_by = tensor.grad_fn  # another one for what was changed in place
    if isinstance(made_by, _NormAct._backward_cls):
        return _Origin(made_by)
    return tensor.detach()  # an operation that kept its own output would be kept by it


def _unpack(kept: Tensor | _Origin) -> Tensor:
    return _rebuild(kept.ctx)[1].detach() if isinstance(kept, _Origin) else kept
