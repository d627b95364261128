"""Whole detectors."""

from .dense3d import DenseDetector3D
from .focalmix import FocalMixDetector

__all__ = ['DenseDetector3D', 'FocalMixDetector']
