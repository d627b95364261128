"""Lesion detection in 3D medical scans, semi-supervised, as an OpenMMLab plugin."""

from .utils.compat import join_openmmlab
from .version import __version__

# Before anything imports mmdet.models, which wants the compiled operators of mmcv.
join_openmmlab(__name__)

__all__ = ['__version__']
