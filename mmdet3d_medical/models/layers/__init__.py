"""Layers that networks share."""

from .channel_norm3d import ChannelNorm3d
from .onednn_convolutions import OneDNNConvolutions
from .recomputed_activations import RecomputedConvModule, recompute_activations, recomputing
from .winograd_conv3d import WinogradConv3d, use_winograd

__all__ = [
    'ChannelNorm3d',
    'OneDNNConvolutions',
    'RecomputedConvModule',
    'WinogradConv3d',
    'recompute_activations',
    'recomputing',
    'use_winograd',
]
