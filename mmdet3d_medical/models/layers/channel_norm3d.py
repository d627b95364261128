"""Normalization that does not see where it is."""

from __future__ import annotations

from torch import Tensor, nn

from mmdet3d_medical.registry import MODELS


@MODELS.register_module('ChannelNorm3d')
class ChannelNorm3d(nn.LayerNorm):
    """Layer normalization over the channels of each voxel of a map (B, C, D, H, W).

    Unlike group and instance normalization it has no statistics over space, so a network trained
    on small patches computes the same on a whole scan; unlike batch normalization it has none over
    the batch either, so levels may share it. In configs: ``norm_cfg=dict(type='ChannelNorm3d')``.

    Args:
        num_features: Channels C.
        eps: Added to the variance.
    """

    def __init__(self, num_features: int, eps: float = 1e-5):
        super().__init__(num_features, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (B, C, D, H, W)."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)
