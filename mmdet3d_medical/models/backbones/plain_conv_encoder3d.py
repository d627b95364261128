"""A plain convolutional encoder, as in nnU-Net."""

from __future__ import annotations

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdet3d_medical.registry import MODELS

from .resnet3d import CONV, Stride, triple

_SLOPE = 0.01  # of the leaky ReLU for negative values


@MODELS.register_module()
class PlainConvEncoder3D(BaseModule):
    """Stages of 3 x 3 x 3 convolutions without shortcuts.

    As the encoder of nnU-Net (Isensee et al. 2021, doi 10.1038/s41592-020-01008-z): each block is a
    convolution, instance normalization and a leaky ReLU of slope 0.01; two blocks to a resolution;
    strided convolutions instead of pooling; 32 channels at first, doubled with every stage, at
    most 320. There the first stage keeps the full resolution, which is what costs memory here: in
    configs it is narrower.

    Args:
        in_channels: Channels of the volume.
        base_channels: Width of the first stage; it doubles with every stage.
        max_channels: Width at which it stops doubling.
        strides: Of the first convolution of each stage, each one number or (z, y, x); their number
            is the number of stages.
        num_blocks: Blocks of each stage, one number for all or one for each.
        out_indices: The stages to put out.
        norm_cfg: Normalization, as in ``ResNet3D``. Instance normalization takes its statistics
            from a patch alone, so patches and views do not see each other; it needs maps of more
            than one voxel in training.
        init_cfg: As in mmengine's ``BaseModule``. Default: Kaiming normal convolutions.

    Raises:
        ValueError: For no stage, a number of blocks that does not fit the stages, or an unknown
            output index.
    """

    def __init__(
        self,
        in_channels: int = 1,
        base_channels: int = 32,
        max_channels: int = 320,
        strides: Sequence[Stride] = (1, 2, 2, 2, 2),
        num_blocks: int | Sequence[int] = 2,
        out_indices: Sequence[int] = (2, 3, 4),
        norm_cfg: dict | None = dict(type='IN3d', affine=True),  # noqa: B006 (never changed)
        init_cfg: dict | list | None = None,
    ):
        super().__init__(init_cfg or _KAIMING)
        number = len(strides)
        blocks = (num_blocks,) * number if isinstance(num_blocks, int) else tuple(num_blocks)
        if not number or len(blocks) != number or min(blocks) < 1:
            raise ValueError(
                'expected at least one stage and at least one block in each, found '
                f'strides={strides} and num_blocks={num_blocks}'
            )
        if any(not 0 <= index < number for index in out_indices):
            raise ValueError(
                f'out_indices must lie in 0 .. {number - 1}, found {tuple(out_indices)}'
            )
        self.out_indices = tuple(out_indices)
        widths = [min(base_channels * 2**stage, max_channels) for stage in range(number)]
        self.out_channels = [widths[index] for index in self.out_indices]
        stages = zip([in_channels, *widths], widths, strides, blocks, strict=False)
        self.stages = nn.ModuleList(_stage(*stage, norm_cfg) for stage in stages)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the chosen stages.

        Args:
            x: (B, in_channels, D, H, W).

        Returns:
            Maps (B, C, d, h, w) in the order of ``out_indices``; d = ceil(D / stride) and so on.
        """
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps[index] for index in self.out_indices)


_KAIMING = [
    dict(type='Kaiming', layer='Conv3d', a=_SLOPE, nonlinearity='leaky_relu'),
    dict(type='Constant', val=1, layer=['_BatchNorm', '_InstanceNorm', 'GroupNorm']),
]


def _stage(
    channels: int, width: int, stride: Stride, number: int, norm_cfg: dict | None
) -> nn.Sequential:
    part = dict(
        padding=1,
        conv_cfg=CONV,
        norm_cfg=norm_cfg,
        act_cfg=dict(type='LeakyReLU', negative_slope=_SLOPE),
    )
    first = ConvModule(channels, width, 3, stride=triple(stride), **part)
    return nn.Sequential(first, *(ConvModule(width, width, 3, **part) for _ in range(number - 1)))
