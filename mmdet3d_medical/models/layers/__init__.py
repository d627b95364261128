"""Layers that networks share."""

from .channel_norm3d import ChannelNorm3d
from .rebuilt_activations import RebuiltConvModule, rebuild_activations, rebuilding
from .winograd_conv3d import WinogradConv3d, use_winograd

__all__ = [
    'ChannelNorm3d',
    'RebuiltConvModule',
    'WinogradConv3d',
    'rebuild_activations',
    'rebuilding',
    'use_winograd',
]
