"""Densely connected blocks that keep every slice."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdet3d_medical.registry import MODELS

from .resnet3d import CONV

_KAIMING = [
    dict(type='Kaiming', layer='Conv3d'),
    dict(type='Constant', val=1, layer=['_BatchNorm', '_InstanceNorm', 'GroupNorm']),
]


class DenseBlock3D(nn.Module):
    """3 x 3 x 3 convolutions, each of which sees all maps before it (arXiv 1608.06993).

    Args:
        in_channels: Channels of the input, which are part of the output.
        growth: Channels that each convolution appends.
        number: Of convolutions.
        norm_cfg: Normalization after each convolution.
    """

    def __init__(self, in_channels: int, growth: int, number: int, norm_cfg: dict | None):
        super().__init__()
        self.convs = nn.ModuleList(
            ConvModule(
                in_channels + i * growth, growth, 3, padding=1, conv_cfg=CONV, norm_cfg=norm_cfg
            )
            for i in range(number)
        )
        self.out_channels = in_channels + number * growth

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = torch.cat([x, conv(x)], dim=1)
        return x


@MODELS.register_module()
class S4NDNet(BaseModule):
    """Dense blocks and poolings within slices, as in S4ND (Khosravan and Bagci 2018, 1805.02279).

    Between two blocks a 1 x 1 x 1 convolution narrows the map to four times the growth, then a max
    pooling makes it smaller; in the paper slices are never pooled.

    Args:
        in_channels: Channels of the volume.
        growth_channels: Channels that each convolution of a block appends, for each block.
        num_convs: Convolutions of each block.
        pools: Of the map between two blocks, each one number for y and x or (z, y, x); one fewer
            than blocks. 32 in all is the paper's, how the four share it is a choice.
        norm_cfg: Normalization after each convolution.
        init_cfg: As in mmengine's ``BaseModule``. Default: Kaiming normal convolutions.

    Raises:
        ValueError: If the numbers of blocks and poolings do not fit.
    """

    def __init__(
        self,
        in_channels: int = 1,
        growth_channels: Sequence[int] = (16, 16, 16, 32, 64),
        num_convs: int = 6,
        pools: Sequence[int] = (2, 2, 2, 4),
        norm_cfg: dict | None = dict(type='BN3d'),  # noqa: B006 (never changed)
        init_cfg: dict | list | None = None,
    ):
        super().__init__(init_cfg or _KAIMING)
        if len(pools) != len(growth_channels) - 1:
            raise ValueError(
                f'expected one pooling between two blocks, found {len(growth_channels)} blocks '
                f'and {len(pools)} poolings'
            )
        self.layers = nn.Sequential()
        channels = in_channels
        for growth, pool in zip(growth_channels, (*pools, None), strict=True):
            block = DenseBlock3D(channels, growth, num_convs, norm_cfg)
            self.layers.append(block)
            channels = block.out_channels
            if pool:
                narrow = 4 * growth
                part = dict(conv_cfg=CONV, norm_cfg=norm_cfg)
                self.layers.append(ConvModule(channels, narrow, 1, **part))
                size = (1, pool, pool) if isinstance(pool, int) else tuple(pool)
                self.layers.append(nn.MaxPool3d(size))
                channels = narrow
        self.out_channels = [channels]

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """One map (B, C, D, h, w) of a volume (B, in_channels, D, H, W)."""
        return (self.layers(x),)
