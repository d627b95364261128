"""Networks that combine feature maps of several resolutions."""

from .fpn3d import FPN3D

__all__ = ['FPN3D']
