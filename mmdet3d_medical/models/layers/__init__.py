"""Layers that networks share."""

from .channel_norm3d import ChannelNorm3d
from .winograd_conv3d import WinogradConv3d, use_winograd

__all__ = ['ChannelNorm3d', 'WinogradConv3d', 'use_winograd']
