"""Feature pyramid on volumes."""

from __future__ import annotations

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mmdet3d_medical.registry import MODELS


@MODELS.register_module()
class FPN3D(BaseModule):
    """Feature pyramid network with 3D convolutions (Lin et al. 2017, arXiv 1612.03144).

    A 1 x 1 x 1 lateral convolution brings each map to ``out_channels``; coarser maps are upsampled
    to the size of the next finer one and added; a 3 x 3 x 3 convolution follows on each level.

    Args:
        in_channels: Channels of the backbone's maps, finest first.
        out_channels: Channels of every level.
        num_outs: Number of levels. Default: as many as inputs.
        extra: Where levels beyond those of the backbone come from: ``'conv'``, stride-2
            convolutions on the coarsest one, as P6 and P7 of RetinaNet, or ``'pool'``, every other
            voxel of it.
        upsample: ``'nearest'`` or ``'trilinear'``.
        norm_cfg: Normalization after each convolution; None for none.
        init_cfg: As in mmengine's ``BaseModule``.

    Raises:
        ValueError: If ``num_outs`` is below the number of inputs, or for another ``extra`` or
            ``upsample``.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int | None = None,
        extra: str = 'conv',
        upsample: str = 'nearest',
        norm_cfg: dict | None = None,
        init_cfg: dict | list | None = dict(type='Xavier', layer='Conv3d', distribution='uniform'),  # noqa: B006
    ):
        super().__init__(init_cfg)
        num_outs = len(in_channels) if num_outs is None else num_outs
        if num_outs < len(in_channels):
            raise ValueError(
                f'num_outs must be at least the {len(in_channels)} inputs, found {num_outs}: '
                "drop levels by the backbone's out_indices instead"
            )
        if upsample not in ('nearest', 'trilinear'):
            raise ValueError(f"upsample must be 'nearest' or 'trilinear', found {upsample!r}")
        if extra not in ('conv', 'pool'):
            raise ValueError(f"extra must be 'conv' or 'pool', found {extra!r}")
        self.upsample = upsample
        part = dict(conv_cfg=dict(type='Conv3d'), norm_cfg=norm_cfg, act_cfg=None)
        self.laterals = nn.ModuleList(
            ConvModule(channels, out_channels, 1, **part) for channels in in_channels
        )
        self.outputs = nn.ModuleList(
            ConvModule(out_channels, out_channels, 3, padding=1, **part) for _ in in_channels
        )
        self.extras = nn.ModuleList(
            ConvModule(out_channels, out_channels, 3, stride=2, padding=1, **part)
            if extra == 'conv'
            else nn.MaxPool3d(1, stride=2)
            for _ in range(num_outs - len(in_channels))
        )
        self.relu_between = extra == 'conv'

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Pyramid of the maps.

        Args:
            maps: (B, in_channels[i], d_i, h_i, w_i), finest first.

        Returns:
            Maps (B, out_channels, d, h, w), finest first.
        """
        levels = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        for fine in range(len(levels) - 2, -1, -1):
            levels[fine] = levels[fine] + self._enlarge(levels[fine + 1], levels[fine])
        levels = [output(x) for output, x in zip(self.outputs, levels, strict=True)]
        for number, extra in enumerate(self.extras):
            coarsest = F.relu(levels[-1]) if number and self.relu_between else levels[-1]
            levels.append(extra(coarsest))
        return tuple(levels)

    def _enlarge(self, coarse: Tensor, fine: Tensor) -> Tensor:
        smooth = dict(align_corners=False) if self.upsample == 'trilinear' else {}
        return F.interpolate(coarse, size=fine.shape[2:], mode=self.upsample, **smooth)
