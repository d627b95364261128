"""Residual networks on volumes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmdet3d_medical.registry import MODELS

CONV = dict(type='Conv3d')
Stride = int | Sequence[int]


class BasicBlock3D(BaseModule):
    """Two 3 x 3 x 3 convolutions and a shortcut (He et al. 2016, arXiv 1512.03385, figure 5).

    Args:
        in_channels: Channels of the input.
        channels: Width of the block; it puts out ``channels * expansion``.
        stride: Of the first convolution, one number or (z, y, x).
        norm_cfg: Normalization as mmcv's ``build_norm_layer`` takes it; None for none.
        shortcut_bias: Bias of the convolution in the shortcut; 'auto' is where no norm follows.
    """

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: Stride,
        norm_cfg: dict | None,
        shortcut_bias: bool | str = 'auto',
    ):
        super().__init__()
        part = dict(conv_cfg=CONV, norm_cfg=norm_cfg, padding=1)
        self.body = nn.Sequential(
            ConvModule(in_channels, channels, 3, stride=triple(stride), **part),
            ConvModule(channels, channels, 3, act_cfg=None, **part),
        )
        self.shortcut = _shortcut(in_channels, channels, stride, norm_cfg, shortcut_bias)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.body(x) + self.shortcut(x))


class Bottleneck3D(BaseModule):
    """1 x 1 x 1, 3 x 3 x 3 and 1 x 1 x 1 convolutions and a shortcut.

    Args:
        in_channels: Channels of the input.
        channels: The block puts out ``channels * expansion``.
        stride: Of the middle convolution, one number or (z, y, x).
        norm_cfg: As of :class:`BasicBlock3D`.
        shortcut_bias: As of :class:`BasicBlock3D`.
        num_groups: Of the middle convolution.
        inner_channels: Its width. Default: ``channels``.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: Stride,
        norm_cfg: dict | None,
        shortcut_bias: bool | str = 'auto',
        num_groups: int = 1,
        inner_channels: int | None = None,
    ):
        super().__init__()
        part = dict(conv_cfg=CONV, norm_cfg=norm_cfg)
        out_channels = channels * self.expansion
        inner = inner_channels or channels
        middle = dict(stride=triple(stride), padding=1, groups=num_groups, **part)
        self.body = nn.Sequential(
            ConvModule(in_channels, inner, 1, **part),
            ConvModule(inner, inner, 3, **middle),
            ConvModule(inner, out_channels, 1, act_cfg=None, **part),
        )
        self.shortcut = _shortcut(in_channels, out_channels, stride, norm_cfg, shortcut_bias)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.body(x) + self.shortcut(x))


@MODELS.register_module()
class ResNet3D(BaseModule):
    """ResNet with 3D convolutions (He et al. 2016, arXiv 1512.03385, table 1).

    With ``num_groups=32, group_channels=4`` and a depth of at least 50 it is ResNeXt 32x4d (Xie et
    al. 2017, arXiv 1611.05431).

    Args:
        depth: 18, 34, 50, 101 or 152.
        in_channels: Channels of the volume.
        base_channels: Width of the stem and of the first stage; it doubles with every stage.
        stem_kernel: Size of the first convolution, one odd number or (z, y, x).
        stem_stride: Its stride, one number or (z, y, x).
        stem_pool: Whether a max pooling of 3 with stride 2 follows, as in 2D. Off by default:
            small lesions would not survive it.
        strides: Stride of each stage, each one number or (z, y, x); their number is the number of
            stages.
        out_indices: The stages to put out; index -1 is the stem.
        num_groups: Groups of the 3 x 3 x 3 convolution in bottlenecks.
        group_channels: Channels of each group in the first stage; they double with every stage.
            Default: as many as the groups share of the stage's width.
        norm_cfg: Normalization, for example ``dict(type='BN3d')``, ``dict(type='IN3d')`` or
            ``dict(type='GN', num_groups=8)``; None for none (convolutions get biases).
        shortcut_bias: Bias of the convolutions in the shortcuts. The default is none where a norm
            follows; True adds one, which the norm takes away again, for weights that have it.
        with_cp: Trade time for memory by recomputing each stage in the backward pass.
        init_cfg: As in mmengine's ``BaseModule``. Default: Kaiming normal convolutions.

    Raises:
        ValueError: For an unknown depth, more than four stages, an unknown output index, or groups
            in a network without bottlenecks.
    """

    ARCHITECTURES = {
        18: (BasicBlock3D, (2, 2, 2, 2)),
        34: (BasicBlock3D, (3, 4, 6, 3)),
        50: (Bottleneck3D, (3, 4, 6, 3)),
        101: (Bottleneck3D, (3, 4, 23, 3)),
        152: (Bottleneck3D, (3, 8, 36, 3)),
    }

    def __init__(
        self,
        depth: int,
        in_channels: int = 1,
        base_channels: int = 64,
        stem_kernel: Stride = 7,
        stem_stride: Stride = 2,
        stem_pool: bool = False,
        strides: Sequence[Stride] = (1, 2, 2, 2),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        num_groups: int = 1,
        group_channels: int | None = None,
        norm_cfg: dict | None = dict(type='BN3d'),  # noqa: B006 (never changed)
        shortcut_bias: bool | str = 'auto',
        with_cp: bool = False,
        init_cfg: dict | list | None = None,
    ):
        super().__init__(init_cfg or _KAIMING)
        block, repeats = self._architecture(depth, strides, out_indices)
        if num_groups > 1 and block is not Bottleneck3D:
            raise ValueError(
                f'num_groups={num_groups} needs bottlenecks: depth 50, 101 or 152, found {depth}'
            )
        self.out_indices = tuple(out_indices)
        self.with_cp = with_cp
        self.stem = _stem(in_channels, base_channels, stem_kernel, stem_stride, norm_cfg)
        if stem_pool:
            self.stem.append(nn.MaxPool3d(3, stride=2, padding=1))
        widths = [base_channels * 2**stage for stage in range(len(strides))]
        self.out_channels = [
            base_channels if index < 0 else widths[index] * block.expansion
            for index in self.out_indices
        ]
        self.stages = nn.ModuleList()
        channels = base_channels
        for stage, (width, stride, number) in enumerate(
            zip(widths, strides, repeats, strict=False)
        ):
            extra = dict(shortcut_bias=shortcut_bias)
            if num_groups > 1:
                inner = num_groups * group_channels * 2**stage if group_channels else width
                extra.update(num_groups=num_groups, inner_channels=inner)
            self.stages.append(_stage(block, channels, width, stride, number, norm_cfg, **extra))
            channels = width * block.expansion

    @classmethod
    def _architecture(cls, depth: int, strides: Sequence, out_indices: Sequence[int]) -> tuple:
        if depth not in cls.ARCHITECTURES:
            raise ValueError(f'depth must be one of {sorted(cls.ARCHITECTURES)}, found {depth}')
        if not 1 <= len(strides) <= 4:
            raise ValueError(f'strides must name 1 to 4 stages, found {strides}')
        if any(not -1 <= index < len(strides) for index in out_indices):
            raise ValueError(
                f'out_indices must lie in -1 .. {len(strides) - 1}, found {tuple(out_indices)}'
            )
        return cls.ARCHITECTURES[depth]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the chosen stages.

        Args:
            x: (B, in_channels, D, H, W).

        Returns:
            Maps (B, C, d, h, w) in the order of ``out_indices``; d = ceil(D / stride) and so on.
        """
        maps = {-1: self.stem(x)}
        for index, stage in enumerate(self.stages):
            maps[index] = self._run(stage, maps[index - 1])
        return tuple(maps[index] for index in self.out_indices)

    def _run(self, stage: nn.Module, x: Tensor) -> Tensor:
        if self.with_cp and torch.is_grad_enabled() and x.requires_grad:
            return checkpoint(stage, x, use_reentrant=False)
        return stage(x)


_KAIMING = [
    dict(type='Kaiming', layer='Conv3d'),
    dict(type='Constant', val=1, layer=['_BatchNorm', '_InstanceNorm', 'GroupNorm']),
]


def triple(value: Stride) -> tuple[int, int, int]:
    """A number, or one for each of (z, y, x), as three."""
    triple = (value,) * 3 if isinstance(value, int) else tuple(value)
    if len(triple) != 3:
        raise ValueError(f'expected one number or three (z, y, x), found {value}')
    return triple


def _shortcut(
    in_channels: int,
    out_channels: int,
    stride: Stride,
    norm_cfg: dict | None,
    bias: bool | str,
) -> nn.Module:
    if in_channels == out_channels and set(triple(stride)) == {1}:
        return nn.Identity()
    return ConvModule(
        in_channels,
        out_channels,
        1,
        stride=triple(stride),
        bias=bias,
        conv_cfg=CONV,
        norm_cfg=norm_cfg,
        act_cfg=None,
    )


def _stem(
    in_channels: int, channels: int, kernel: Stride, stride: Stride, norm_cfg: dict | None
) -> nn.Sequential:
    kernel = triple(kernel)
    if any(size % 2 == 0 for size in kernel):
        raise ValueError(f'stem_kernel must be odd, to keep voxels centered, found {kernel}')
    padding = tuple(size // 2 for size in kernel)
    return nn.Sequential(
        ConvModule(
            in_channels,
            channels,
            kernel,
            stride=triple(stride),
            padding=padding,
            conv_cfg=CONV,
            norm_cfg=norm_cfg,
        )
    )


def _stage(
    block: type,
    channels: int,
    width: int,
    stride: Stride,
    number: int,
    norm_cfg: dict | None,
    **extra: int | str,
) -> nn.Sequential:
    first = block(channels, width, stride, norm_cfg, **extra)
    channels = width * block.expansion
    rest = [block(channels, width, 1, norm_cfg, **extra) for _ in range(number - 1)]
    return nn.Sequential(first, *rest)
