"""Convolutions of 3^3 by fewer multiplications, on a CPU.

Winograd's minimal filtering, F(4, 3) along each axis, as Lavin and Gray
(`arXiv:1509.09308 <https://arxiv.org/abs/1509.09308>`_) use it for images: a tile of 6^3 voxels and
the kernel are transformed, multiplied at 6^3 places, and transformed back into 4^3 outputs, which
otherwise take 4^3 * 3^3 multiplications. Along depth one place is done after another, so that a
sixth of the transformed kernel is in memory at a time.

``VOXELS``, ``TAPS`` and ``OUTPUTS`` are B^T, G and A^T there. Along depth a row of ``VOXELS`` tells
how planes are read into one, a column of ``OUTPUTS`` how what comes of it is written to planes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import mmcv
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

TILE = 4  # outputs along an axis
KERNEL = 3
PLACES = TILE + KERNEL - 1
# Where polynomials are evaluated, besides infinity. Found by trial: rounding errors are a tenth of
# those with the usual 0, 1, -1, 2, -2.
POINTS = (0.0, 0.7, -0.7, 1.4, -1.4)
CHUNK = 64  # tiles at a time, so that they stay in a cache
# Where PyTorch's own convolution is about as fast, or faster.
MIN_CHANNELS = 64
MIN_TILES = 64
MAX_TILES_IN_PLANE = 1024  # they are one chunk at least


def transforms() -> tuple[Tensor, Tensor, Tensor]:
    """Matrices of voxels (6, 6), taps of the kernel (6, 3) and outputs (4, 6).

    After Toom and Cook: the last two evaluate polynomials at ``POINTS`` and at infinity, the first
    holds the coefficients of the polynomials that are zero at all other points.
    """
    points = np.array(POINTS)
    others = [np.delete(points, i) for i in range(len(points))]
    voxels = np.zeros((PLACES, PLACES))
    for row, zeros in zip(voxels, [*others, points], strict=True):
        row[: len(zeros) + 1] = np.poly(zeros)[::-1]
    scale = [np.prod(point - zeros) for point, zeros in zip(points, others, strict=True)]
    taps = np.vander(points, KERNEL, increasing=True) / np.array(scale)[:, None]
    taps = np.vstack([taps, np.eye(KERNEL)[-1:]])
    outputs = np.vander(points, TILE, increasing=True).T
    outputs = np.hstack([outputs, np.eye(TILE)[:, -1:]])
    return tuple(torch.tensor(part, dtype=torch.float32) for part in (voxels, taps, outputs))


VOXELS, TAPS, OUTPUTS = transforms()


class WinogradConv3d(nn.Conv3d):
    """``nn.Conv3d`` of 3^3, stride 1 and padding 1, by Winograd's filtering where that is faster.

    That is on a CPU in float32, outside autocast, for batches of maps that :func:`pays_off` takes.
    Outputs and gradients are those of ``nn.Conv3d`` up to rounding, of which there is about ten
    times as much: at most about 2e-5 of an output's standard deviation. Outputs lie in the order
    channels last, and there are no second derivatives.
    """

    @classmethod
    def of(cls, conv: nn.Conv3d) -> WinogradConv3d:
        """A layer with the parameters of another.

        Raises:
            ValueError: If that is not of 3^3, stride 1 and padding 1 with zeros, in one group.
        """
        if not fits_winograd(conv):
            raise ValueError(f'only 3^3, stride 1, padding 1 with zeros, one group; found {conv}')
        layer = cls(conv.in_channels, conv.out_channels, KERNEL, padding=1, device='meta')
        layer.weight, layer.bias = conv.weight, conv.bias
        return layer.train(conv.training)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to (B, O, D, H, W)."""
        if not self.is_faster(x):
            return super().forward(x)
        return _Winograd.apply(x, self.weight, self.bias)

    def is_faster(self, x: Tensor) -> bool:
        """Whether this way is taken for maps (B, C, D, H, W)."""
        exact = x.dtype == self.weight.dtype == torch.float32
        on_cpu = x.device.type == 'cpu' and not torch.is_autocast_enabled('cpu')
        batch = x.dim() == 5 and x.shape[1] == self.in_channels
        return (
            exact
            and on_cpu
            and batch
            and pays_off((self.in_channels, self.out_channels), x.shape[2:])
        )


def pays_off(channels: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether Winograd's filtering is faster, for channels before and after and (D, H, W).

    Transforming the kernel has to be spread over many tiles, and less than half of them may lie
    outside the map.
    """
    depth, *plane = (-(-length // TILE) for length in shape)
    in_plane = math.prod(plane)
    tiles = depth * in_plane
    return (
        min(channels) >= MIN_CHANNELS
        and tiles >= max(MIN_TILES, max(channels) / 4)
        and in_plane <= MAX_TILES_IN_PLANE
        and TILE**3 * tiles < 2 * math.prod(shape)
    )


def fits_winograd(module: nn.Module) -> bool:
    """Whether it is a convolution that :class:`WinogradConv3d` can compute, and nothing more."""
    return (
        type(module) in (nn.Conv3d, mmcv.cnn.bricks.wrappers.Conv3d)
        and (module.kernel_size, module.stride, module.padding, module.dilation, module.groups)
        == ((KERNEL,) * 3, (1,) * 3, (1,) * 3, (1,) * 3, 1)
        and module.padding_mode == 'zeros'
        and not (module._forward_hooks or module._forward_pre_hooks)
    )


def use_winograd(module: nn.Module) -> None:
    """Put :class:`WinogradConv3d` in the place of all convolutions inside that it can compute.

    Names and parameters stay, so checkpoints and optimizers do not notice.
    """
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if fits_winograd(child):
                setattr(parent, name, WinogradConv3d.of(child))


class _Winograd(torch.autograd.Function):
    """The convolution, and its gradients, of which those of input and kernel are like it."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolve(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        mirrored = weight.flip(2, 3, 4).transpose(0, 1)
        need_x, need_weight, need_bias = ctx.needs_input_grad
        with torch.autocast('cpu', enabled=False):
            return (
                _convolve(grad, mirrored) if need_x else None,
                _weight_grad(x, grad) if need_weight else None,
                grad.sum((0, 2, 3, 4)) if need_bias else None,
            )


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(B, C, D, H, W) and (O, C, 3, 3, 3) to (B, O, D, H, W)."""
    volumes, kernel = _channels_last(x), weight.permute(2, 3, 4, 1, 0)
    # Not made as a view of what the loops fill: such outputs of a Function bear no ReLU in place.
    shape = (x.shape[0], len(weight), *x.shape[2:])
    out = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last_3d).zero_()
    filled = out.permute(0, 2, 3, 4, 1)
    if bias is not None:
        filled += bias
    for reads, taps, writes in zip(VOXELS, TAPS, OUTPUTS.T, strict=True):
        _add_place(volumes, torch.tensordot(taps, kernel, 1), filled, reads, writes)
    return out


def _add_place(volumes: Tensor, kernel: Tensor, out: Tensor, reads: Tensor, writes: Tensor) -> None:
    """Convolve with a plane (3, 3, C, O) and add to the outputs that it counts in."""
    spectrum = _along_both(TAPS, kernel)
    for volume, result in zip(volumes, out, strict=True):
        for rows in _chunks(volume):
            _write(result, _products(_read_tiles(volume, reads, rows), spectrum), writes, rows)


def _products(tiles: Tensor, spectrum: Tensor) -> Tensor:
    """Transformed tiles (6, 6, rows, h, w, C) and kernel (6, 6, C, O) to (4, 4, rows, h, w, O)."""
    products = torch.bmm(_matrices(tiles), _matrices(spectrum))
    return _along_both(OUTPUTS, products.view(*tiles.shape[:-1], -1))


def _weight_grad(x: Tensor, grad: Tensor) -> Tensor:
    """(B, C, D, H, W) and (B, O, D, H, W) to (O, C, 3, 3, 3)."""
    volumes, grads = _channels_last(x), _channels_last(grad)
    kernel = volumes.new_zeros(3, 3, 3, volumes.shape[-1], grads.shape[-1])
    for reads, taps, writes in zip(VOXELS, TAPS, OUTPUTS.T, strict=True):
        plane = _along_both(TAPS.T, _spectrum_grad(volumes, grads, reads, writes))
        for depth, tap in zip(kernel, taps.tolist(), strict=True):
            depth.add_(plane, alpha=tap)
    return kernel.permute(4, 3, 0, 1, 2)


def _spectrum_grad(volumes: Tensor, grads: Tensor, reads: Tensor, writes: Tensor) -> Tensor:
    """Gradient (6, 6, C, O) of the transformed kernel at a place along depth."""
    out = volumes.new_zeros(PLACES, PLACES, volumes.shape[-1], grads.shape[-1])
    for volume, grad in zip(volumes, grads, strict=True):
        for rows in _chunks(volume):
            tiles = _read_tiles(volume, reads, rows)
            results = _along_both(OUTPUTS.T, _tiles(_read(grad, writes, rows, start=0), TILE))
            _matrices(out).baddbmm_(_matrices(tiles).mT, _matrices(results))
    return out


def _channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 4, 1).contiguous()


def _chunks(volume: Tensor) -> list[range]:
    """Of the rows of tiles along depth."""
    depth, height, width = (-(-length // TILE) for length in volume.shape[:3])
    step = max(1, CHUNK // (height * width))
    return [range(first, min(first + step, depth)) for first in range(0, depth, step)]


def _read(volume: Tensor, factors: Tensor, rows: range, start: int) -> Tensor:
    """For each row of tiles the sum of its planes, the first ``start`` from where it begins.

    (D, H, W, C) to (rows, H, W, C); planes outside the volume are zero.
    """
    out = volume.new_zeros(len(rows), *volume.shape[1:])
    for plane, factor in enumerate(factors.tolist(), TILE * rows.start + start):
        outside = plane < 0
        part = volume[plane + TILE * outside : plane + TILE * len(rows) : TILE]
        out[outside : outside + len(part)].add_(part, alpha=factor)
    return out


def _read_tiles(volume: Tensor, reads: Tensor, rows: range) -> Tensor:
    """Transformed tiles (6, 6, rows, h, w, C) of a volume (D, H, W, C)."""
    return _along_both(VOXELS, _tiles(_read(volume, reads, rows, start=-1), PLACES))


def _write(volume: Tensor, tiles: Tensor, factors: Tensor, rows: range) -> None:
    """Add tiles (4, 4, rows, h, w, O) to all planes of their rows in (D, H, W, O)."""
    _, _, count, height, width, _ = tiles.shape
    planes = tiles.permute(2, 3, 0, 4, 1, 5).reshape(count, TILE * height, TILE * width, -1)
    planes = planes[:, : volume.shape[1], : volume.shape[2]]
    for plane, factor in enumerate(factors.tolist(), TILE * rows.start):
        part = volume[plane : plane + TILE * count : TILE]
        part.add_(planes[: len(part)], alpha=factor)


def _tiles(planes: Tensor, size: int) -> Tensor:
    """(n, H, W, C) to (size, size, n, h, w, C): tiles of 4^2, or of 6^2 that overlap."""
    margin = (size - TILE) // 2
    height, width = (margin + -length % TILE for length in planes.shape[1:3])
    padded = F.pad(planes, (0, 0, margin, width, margin, height))
    return padded.unfold(1, size, TILE).unfold(2, size, TILE).permute(4, 5, 0, 1, 2, 3)


def _along_both(matrix: Tensor, maps: Tensor) -> Tensor:
    """Along the first two axes: (m, k) and (k, k, ...) to (m, m, ...)."""
    first = torch.tensordot(matrix, maps, 1)
    return (matrix @ first.flatten(2)).unflatten(2, maps.shape[2:])


def _matrices(maps: Tensor) -> Tensor:
    """(6, 6, ..., C) to (36, N, C)."""
    return maps.flatten(0, 1).flatten(1, -2)
