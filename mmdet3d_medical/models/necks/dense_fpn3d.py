"""Feature pyramid in which every level sees every other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mmdet3d_medical.registry import MODELS

SHRINK = dict(max=(F.max_pool3d, F.adaptive_max_pool3d), avg=(F.avg_pool3d, F.adaptive_avg_pool3d))


@MODELS.register_module()
class DenseFPN3D(BaseModule):
    """Pyramid with lateral connections from all levels to all (Liu et al. 2019, arXiv 1906.03467).

    Where ``FPN3D`` hands on what is coarse to what is fine, here each level is the sum of all the
    backbone's maps, brought to its size: finer ones are pooled, coarser ones enlarged. Each pair of
    levels has a 1 x 1 x 1 convolution of its own, so a level chooses what it takes from another; a
    3 x 3 x 3 convolution on each level comes last. The connections are the paper's; how sizes are
    matched and where convolutions stand are choices.

    Args:
        in_channels: Channels of the backbone's maps, finest first; as many levels come out.
        out_channels: Channels of every level.
        shrink: How finer maps are pooled, ``'max'``, which keeps what is small and bright, or
            ``'avg'``.
        enlarge: How coarser maps are interpolated, ``'nearest'`` or ``'trilinear'``.
        norm_cfg: Normalization after each convolution; None for none.
        init_cfg: As in mmengine's ``BaseModule``.

    Raises:
        ValueError: For another ``shrink`` or ``enlarge``.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        shrink: str = 'max',
        enlarge: str = 'nearest',
        norm_cfg: dict | None = None,
        init_cfg: dict | list | None = dict(type='Xavier', layer='Conv3d', distribution='uniform'),  # noqa: B006
    ):
        super().__init__(init_cfg)
        if shrink not in SHRINK:
            raise ValueError(f'shrink must be one of {tuple(SHRINK)}, found {shrink!r}')
        if enlarge not in ('nearest', 'trilinear'):
            raise ValueError(f"enlarge must be 'nearest' or 'trilinear', found {enlarge!r}")
        self.shrink = shrink
        self.enlarge = dict(mode=enlarge)
        if enlarge == 'trilinear':
            self.enlarge['align_corners'] = False
        part = dict(conv_cfg=dict(type='Conv3d'), norm_cfg=norm_cfg, act_cfg=None)
        self.laterals = nn.ModuleList(
            nn.ModuleList(ConvModule(channels, out_channels, 1, **part) for channels in in_channels)
            for _ in in_channels
        )
        self.outputs = nn.ModuleList(
            ConvModule(out_channels, out_channels, 3, padding=1, **part) for _ in in_channels
        )

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Pyramid of the maps.

        Args:
            maps: (B, in_channels[i], d_i, h_i, w_i), finest first.

        Returns:
            Maps (B, out_channels, d_i, h_i, w_i), finest first.
        """
        return tuple(
            output(self._gather(maps, level, laterals))
            for level, (output, laterals) in enumerate(
                zip(self.outputs, self.laterals, strict=True)
            )
        )

    def _gather(self, maps: Sequence[Tensor], level: int, laterals: nn.ModuleList) -> Tensor:
        """Sum of all maps at the size of one level; convolved where the map is smaller."""
        size, total = maps[level].shape[2:], 0
        for source, (x, lateral) in enumerate(zip(maps, laterals, strict=True)):
            if source < level:
                x = lateral(_pooled(x, size, self.shrink))
            elif source > level:
                x = F.interpolate(lateral(x), size=size, **self.enlarge)
            else:
                x = lateral(x)
            total = total + x
        return total


def _pooled(x: Tensor, size: Sequence[int], how: str) -> Tensor:
    """A map brought to a smaller size, a whole part of its own where it is traced for ONNX."""
    pool, adaptive = SHRINK[how]
    if not torch.jit.is_tracing():
        return adaptive(x, size)
    return pool(x, [int(side) // int(part) for side, part in zip(x.shape[2:], size, strict=True)])
