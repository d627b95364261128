"""Encoders with a short way back up, as in DeepLung and DeepSEED."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule, build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mmdet3d_medical.registry import MODELS

from .resnet3d import CONV

LOCATION = 3  # channels: z, y, x
_KAIMING = [
    dict(type='Kaiming', layer=['Conv3d', 'ConvTranspose3d']),
    dict(type='Constant', val=1, layer=['_BatchNorm', '_InstanceNorm', 'GroupNorm']),
]


class EncoderDecoder3D(BaseModule):
    """Four stages down, two up with skips, and where a cell lies in the scan.

    What DeepLung (Zhu et al. 2018, arXiv 1801.09555) and DeepSEED (Li and Fan 2020, arXiv
    1904.03501) share. A subclass builds ``stem``, ``stages``, ``ups`` (two, to the sizes of the
    third and the second stage) and ``decoders``.

    Args:
        strides: Of each of the four stages.
        location: Whether the last three channels of the input are the position (z, y, x) of
            each voxel, see ``LocationDataPreprocessor``. Averaged over each cell, they enter before
            the last decoder.
        init_cfg: As in mmengine's ``BaseModule``. Default: Kaiming normal convolutions.

    Raises:
        ValueError: For other than four strides.
    """

    def __init__(self, strides: Sequence[int], location: bool, init_cfg: dict | list | None = None):
        super().__init__(init_cfg or _KAIMING)
        if len(strides) != 4 or min(strides) < 1:
            raise ValueError(f'expected four strides >= 1, found {strides}')
        self.location = LOCATION if location else 0
        self.out_stride = strides[0] * strides[1]
        self.max_stride = math.prod(strides)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Feature map at the stride of the second stage.

        Args:
            x: (B, C, D, H, W), sides multiples of all strides together; with location the last
                three channels are coordinates.

        Returns:
            One map (B, out_channels, d, h, w).
        """
        self._check(x)
        channels = int(x.shape[1]) - self.location
        image, location = x[:, :channels], x[:, channels:]
        maps = [self.stem(image)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        _, _, fine, middle, coarse = maps
        middle = self.decoders[0](torch.cat([self.ups[0](coarse), middle], dim=1))
        parts = [self.ups[1](middle), fine]
        if self.location:
            parts.append(F.avg_pool3d(location, self.out_stride).to(fine.dtype))
        return (self.decoders[1](torch.cat(parts, dim=1)),)

    def _check(self, x: Tensor) -> None:
        if x.shape[1] <= self.location:
            raise ValueError(
                f'found {x.shape[1]} channels, expected the image and three coordinates: use '
                "data_preprocessor=dict(type='LocationDataPreprocessor') or location=False"
            )
        if any(side % self.max_stride for side in x.shape[2:]):
            raise ValueError(
                f'sides must be multiples of {self.max_stride}, found {tuple(x.shape[2:])}: set '
                f'pad_size_divisor={self.max_stride} in the data preprocessor'
            )


class SqueezeExcitation(nn.Sequential):
    """Scale each channel by 0 to 1, from the means of all (Hu et al. 2018, arXiv 1709.01507).

    Args:
        channels: Of the map.
        reduction: How many times narrower the hidden layer is.
    """

    def __init__(self, channels: int, reduction: int):
        hidden = max(channels // reduction, 1)
        super().__init__(
            nn.AdaptiveAvgPool3d(1),
            nn.Conv3d(channels, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Conv3d(hidden, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * super().forward(x)


class ResidualBlock(nn.Module):
    """Two 3 x 3 x 3 convolutions with biases, a gate if wanted, and a shortcut.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output.
        reduction: Of :class:`SqueezeExcitation` before the addition; None for no gate.
        norm_cfg: Normalization after each convolution.
    """

    def __init__(
        self, in_channels: int, channels: int, reduction: int | None, norm_cfg: dict | None
    ):
        super().__init__()
        self.body = nn.Sequential(
            *_conv(in_channels, channels, 3, norm_cfg),
            nn.ReLU(inplace=True),
            *_conv(channels, channels, 3, norm_cfg),
        )
        if reduction:
            self.body.append(SqueezeExcitation(channels, reduction))
        self.shortcut = nn.Identity()
        if in_channels != channels:
            self.shortcut = nn.Sequential(*_conv(in_channels, channels, 1, norm_cfg))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.body(x) + self.shortcut(x))


@MODELS.register_module()
class DeepLungRes18(EncoderDecoder3D):
    """Residual encoder-decoder of DeepLung's detector; with ``reduction=16`` that of DeepSEED.

    Args:
        in_channels: Channels of the image.
        stem_channels: Of the two convolutions at full resolution.
        channels: Of the four stages, each a max pooling and residual blocks.
        num_blocks: Residual blocks of each stage.
        decoder_channels: Of the two decoders, three residual blocks each.
        strides: Of the poolings.
        reduction: Of squeeze and excitation in each block; None for none.
        location: See :class:`EncoderDecoder3D`.
        norm_cfg: Normalization after each convolution.
        init_cfg: As in mmengine's ``BaseModule``.

    Raises:
        ValueError: For other than four stages and two decoders.
    """

    def __init__(
        self,
        in_channels: int = 1,
        stem_channels: int = 24,
        channels: Sequence[int] = (32, 64, 64, 64),
        num_blocks: Sequence[int] = (2, 2, 3, 3),
        decoder_channels: Sequence[int] = (64, 128),
        strides: Sequence[int] = (2, 2, 2, 2),
        reduction: int | None = None,
        location: bool = True,
        norm_cfg: dict | None = dict(type='BN3d'),  # noqa: B006 (never changed)
        init_cfg: dict | list | None = None,
    ):
        super().__init__(strides, location, init_cfg)
        _check_numbers(channels, num_blocks, decoder_channels)
        self.stem = nn.Sequential(
            *_conv(in_channels, stem_channels, 3, norm_cfg),
            nn.ReLU(inplace=True),
            *_conv(stem_channels, stem_channels, 3, norm_cfg),
            nn.ReLU(inplace=True),
        )

        def blocks(wide: int, width: int, number: int) -> list[nn.Module]:
            widths = [wide] + [width] * (number - 1)
            return [ResidualBlock(other, width, reduction, norm_cfg) for other in widths]

        inputs = [stem_channels, *channels[:3]]
        self.stages = nn.ModuleList(
            nn.Sequential(nn.MaxPool3d(stride), *blocks(*widths))
            for stride, *widths in zip(strides, inputs, channels, num_blocks, strict=True)
        )
        first, last = decoder_channels
        self.ups = nn.ModuleList(
            [_up(channels[3], strides[3], norm_cfg), _up(first, strides[2], norm_cfg)]
        )
        self.decoders = nn.ModuleList(
            [
                nn.Sequential(*blocks(channels[3] + channels[2], first, 3)),
                nn.Sequential(*blocks(first + channels[1] + self.location, last, 3)),
            ]
        )
        self.out_channels = [last]


class DualPathBlock(nn.Module):
    """Bottleneck that adds to some channels and appends some (Chen et al. 2017, arXiv 1707.01629).

    Args:
        in_channels: Channels of the input.
        channels: Width of the bottleneck, and channels of the residual path.
        dense_channels: Channels that the block appends.
        stride: Of the 3 x 3 x 3 convolution.
        num_groups: Of that convolution.
        first: Whether it opens a stage: its shortcut is then a convolution, which makes the
            channels of the residual path and the first ones of the dense path.
        norm_cfg: Normalization after each convolution.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        dense_channels: int,
        stride: int,
        num_groups: int,
        first: bool,
        norm_cfg: dict | None,
    ):
        super().__init__()
        part = dict(conv_cfg=CONV, norm_cfg=norm_cfg)
        wide = channels + dense_channels
        self.channels = channels
        self.body = nn.Sequential(
            ConvModule(in_channels, channels, 1, **part),
            ConvModule(channels, channels, 3, stride, padding=1, groups=num_groups, **part),
            ConvModule(channels, wide, 1, act_cfg=None, **part),
        )
        self.shortcut = nn.Identity()
        if first:
            self.shortcut = ConvModule(in_channels, wide, 1, stride, act_cfg=None, **part)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        old, new, width = self.shortcut(x), self.body(x), self.channels
        parts = [old[:, :width] + new[:, :width], old[:, width:], new[:, width:]]
        return self.relu(torch.cat(parts, dim=1))


@MODELS.register_module()
class DeepLungDPN26(EncoderDecoder3D):
    """Dual path encoder-decoder of DeepLung's detector.

    Stages and decoders have two dual path blocks each, the first of a stage with its stride; a
    stage of width w puts out w + 3 times ``dense_channels``.

    Args:
        in_channels: Channels of the image.
        stem_channels: Of the convolution at full resolution.
        channels: Widths of the four stages.
        decoder_channels: Widths of the two decoders.
        dense_channels: Channels that each block appends.
        num_groups: Of the 3 x 3 x 3 convolutions; a divisor of all widths.
        strides: Of the stages.
        location: See :class:`EncoderDecoder3D`.
        norm_cfg: Normalization after each convolution.
        init_cfg: As in mmengine's ``BaseModule``.

    Raises:
        ValueError: For other than four stages and two decoders, or groups that do not divide a
            width.
    """

    def __init__(
        self,
        in_channels: int = 1,
        stem_channels: int = 24,
        channels: Sequence[int] = (24, 48, 72, 96),
        decoder_channels: Sequence[int] = (128, 224),
        dense_channels: int = 8,
        num_groups: int = 8,
        strides: Sequence[int] = (2, 2, 2, 2),
        location: bool = True,
        norm_cfg: dict | None = dict(type='BN3d'),  # noqa: B006 (never changed)
        init_cfg: dict | list | None = None,
    ):
        super().__init__(strides, location, init_cfg)
        _check_numbers(channels, strides, decoder_channels)
        self.stem = ConvModule(
            in_channels, stem_channels, 3, padding=1, conv_cfg=CONV, norm_cfg=norm_cfg
        )

        def blocks(wide: int, width: int, stride: int = 1) -> nn.Sequential:
            part = (dense_channels, stride, num_groups)
            grown = width + 2 * dense_channels
            return nn.Sequential(
                DualPathBlock(wide, width, *part, first=True, norm_cfg=norm_cfg),
                DualPathBlock(grown, width, dense_channels, 1, num_groups, False, norm_cfg),
            )

        outs = [width + 3 * dense_channels for width in channels]
        inputs = [stem_channels, *outs[:3]]
        self.stages = nn.ModuleList(map(blocks, inputs, channels, strides))
        first, last = decoder_channels
        middle = first + 3 * dense_channels
        self.ups = nn.ModuleList(
            [_up(outs[3], strides[3], norm_cfg), _up(middle, strides[2], norm_cfg)]
        )
        self.decoders = nn.ModuleList(
            [blocks(outs[3] + outs[2], first), blocks(middle + outs[1] + self.location, last)]
        )
        self.out_channels = [last + 3 * dense_channels]


def _conv(in_channels: int, channels: int, kernel: int, norm_cfg: dict | None) -> list[nn.Module]:
    """Convolution with biases, which ``ConvModule`` warns of, and normalization."""
    conv = nn.Conv3d(in_channels, channels, kernel, padding=kernel // 2)
    return [conv, *_norm(norm_cfg, channels)]


def _up(channels: int, stride: int, norm_cfg: dict | None) -> nn.Sequential:
    """Transposed convolution that enlarges a map ``stride`` times."""
    conv = nn.ConvTranspose3d(channels, channels, stride, stride)
    return nn.Sequential(conv, *_norm(norm_cfg, channels), nn.ReLU(inplace=True))


def _norm(norm_cfg: dict | None, channels: int) -> list[nn.Module]:
    return [build_norm_layer(norm_cfg, channels)[1]] if norm_cfg else []


def _check_numbers(stages: Sequence[int], per_stage: Sequence[int], decoders: Sequence) -> None:
    if len(stages) != 4 or len(per_stage) != 4 or len(decoders) != 2:
        raise ValueError(
            'expected four stages and two decoders, found '
            f'{tuple(stages)}, {tuple(per_stage)} and {tuple(decoders)}'
        )
