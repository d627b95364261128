"""Activations that are not kept for the backward pass, but computed again from what is kept anyway.

A convolution, its normalization and its activation keep two maps: the convolution's output, for
the normalization, and the activation's, for the next convolution. The second follows from the first
by a few operations for each voxel. In-place activated batch normalization (`arXiv:1712.02616
<https://arxiv.org/abs/1712.02616>`_) keeps the second instead, which needs activations that can be
inverted, as ReLU cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

NORMS = (nn.GroupNorm, nn.BatchNorm3d, nn.InstanceNorm3d)
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU)


class RecomputedConvModule(ConvModule):
    """``ConvModule`` whose result can be recomputed from the output of its convolution.

    Where convolution, group, batch or instance normalization and a (leaky) ReLU follow each other;
    otherwise, synchronized batch normalization included, it is a ``ConvModule``.
    """

    def forward(self, x: Tensor, activate: bool = True, norm: bool = True) -> Tensor:
        """As that of ``ConvModule``."""
        if not (activate and norm and torch.is_grad_enabled() and self.can_recompute):
            return super().forward(x, activate, norm)
        out = _NormAct.apply(self, self.conv(x), *self.norm.parameters())
        if out.requires_grad:
            out.grad_fn.version = out._version
        return out

    @property
    def can_recompute(self) -> bool:
        """Whether its parts are such as can be recomputed."""
        return (
            self.order == ('conv', 'norm', 'act')
            and not self.with_explicit_padding
            and type(getattr(self, 'activate', None)) in ACTIVATIONS
            and type(self.norm) in NORMS
            and not (isinstance(self.norm, nn.InstanceNorm3d) and self.norm.track_running_stats)
            and not any(
                part._forward_hooks or part._forward_pre_hooks
                for part in (self.norm, self.activate)
            )
        )


def recompute_activations(module: nn.Module) -> None:
    """Make every ``ConvModule`` inside a :class:`RecomputedConvModule`.

    Parameters and their names stay. It saves memory within :func:`recomputing`.
    """
    for part in module.modules():
        if type(part) is ConvModule:
            part.__class__ = RecomputedConvModule


@contextmanager
def recomputing(module: nn.Module) -> Iterator[None]:
    """Operations within do not keep results of a :class:`RecomputedConvModule` in ``module``."""
    if not any(isinstance(part, RecomputedConvModule) for part in module.modules()):
        yield
        return
    with torch.autograd.graph.saved_tensors_hooks(_pack, _unpack):
        yield


class _NormAct(torch.autograd.Function):
    """Normalization and activation, of which the input is kept alone.

    The result has the precision of a convolution's output, in which the next one will take it.
    """

    @staticmethod
    def forward(ctx, module: RecomputedConvModule, x: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(x, *parameters)
        ctx.activate, ctx.recomputed = module.activate, None
        ctx.norm = _as_it_is(module.norm)
        return module.activate(module.norm(_as_taken(module.norm, x))).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, out = _recompute(ctx)
        ctx.recomputed = None
        return None, *torch.autograd.grad(out, inputs, grad)


@torch.enable_grad()
def _recompute(ctx) -> tuple[list[Tensor], Tensor]:
    """Inputs and result of a ``_NormAct``, joined by a graph; once for all that need them.

    Without calling modules and with inputs of its own, so that no hook runs twice.
    """
    if ctx.recomputed is None:
        x, *parameters = inputs = [kept.detach().requires_grad_() for kept in ctx.saved_tensors]
        out = ctx.activate.forward(ctx.norm(x, *parameters))
        ctx.recomputed = inputs, out.to(x.dtype)
    return ctx.recomputed


def _as_it_is(norm: nn.Module) -> Callable[..., Tensor]:
    """What ``norm`` does now with (x, weight, bias); its running statistics stay as they are."""
    if isinstance(norm, nn.GroupNorm):
        return lambda x, *affine: F.group_norm(
            _as_taken(norm, x), norm.num_groups, *affine, eps=norm.eps
        )
    if isinstance(norm, nn.InstanceNorm3d):
        return lambda x, *affine: F.instance_norm(x, None, None, *affine, eps=norm.eps)
    by_batch = norm.training or norm.running_mean is None
    running = (None, None) if by_batch else (norm.running_mean.clone(), norm.running_var.clone())
    return lambda x, *affine: F.batch_norm(x, *running, *affine, training=by_batch, eps=norm.eps)


def _as_taken(norm: nn.Module, x: Tensor) -> Tensor:
    """In the precision that is normalized in; of group normalization autocast makes it float32."""
    mixed = isinstance(norm, nn.GroupNorm) and norm.affine and norm.weight.dtype != x.dtype
    return x.to(norm.weight.dtype) if mixed else x


class _Origin(NamedTuple):
    """In the place of a result."""

    ctx: Any


class _Kept(NamedTuple):
    """A tensor that was not to change."""

    tensor: Tensor
    version: int


def _pack(tensor: Tensor) -> _Origin | _Kept:
    made_by = tensor.grad_fn
    if isinstance(made_by, _NormAct._backward_cls) and made_by.version == tensor._version:
        return _Origin(made_by)
    # Detached: what an operation keeps of its own output would otherwise keep the operation.
    return _Kept(tensor.detach(), tensor._version)


def _unpack(kept: _Origin | _Kept) -> Tensor:
    """Autograd does not look itself whether what hooks keep was changed."""
    if isinstance(kept, _Origin):
        return _recompute(kept.ctx)[1].detach()
    if kept.tensor._version != kept.version:
        raise RuntimeError(
            'one of the variables needed for gradient computation has been modified by an '
            f'inplace operation: {tuple(kept.tensor.shape)} is at version '
            f'{kept.tensor._version}, expected {kept.version}'
        )
    return kept.tensor
