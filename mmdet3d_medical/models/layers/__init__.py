"""Layers that networks share."""

from .channel_norm3d import ChannelNorm3d
from .onednn_convolutions import OneDNNConvolutions
from .recomputed_activations import RecomputedConvModule, recompute_activations, recomputing
from .split_group_norm import SplitGroupNorm, split_group_norm, use_split_group_norm
from .winograd_conv3d import WinogradConv3d, use_winograd

__all__ = [
    'ChannelNorm3d',
    'OneDNNConvolutions',
    'RecomputedConvModule',
    'SplitGroupNorm',
    'WinogradConv3d',
    'recompute_activations',
    'recomputing',
    'split_group_norm',
    'use_split_group_norm',
    'use_winograd',
]
