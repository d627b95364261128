"""Heads that predict on every cell, and the protocol they meet."""

from .anchor3d_head import Anchor3DHead
from .fcos3d_head import FCOS3DHead
from .pointwise3d_head import Pointwise3DHead
from .retina3d_head import Retina3DHead
from .targets import DenseTargetHead, DenseTargets, missing_of_protocol

__all__ = [
    'Anchor3DHead',
    'DenseTargetHead',
    'DenseTargets',
    'FCOS3DHead',
    'Pointwise3DHead',
    'Retina3DHead',
    'missing_of_protocol',
]
