"""Networks that combine feature maps of several resolutions."""

from .dense_fpn3d import DenseFPN3D
from .fpn3d import FPN3D

__all__ = ['FPN3D', 'DenseFPN3D']
