"""Heads that predict on every cell, and the protocol they meet."""

from .fcos3d_head import FCOS3DHead
from .retina3d_head import Retina3DHead
from .targets import DenseTargetHead, DenseTargets, missing_of_protocol

__all__ = ['DenseTargetHead', 'DenseTargets', 'FCOS3DHead', 'Retina3DHead', 'missing_of_protocol']
