"""Layers that networks share."""

from .channel_norm3d import ChannelNorm3d

__all__ = ['ChannelNorm3d']
