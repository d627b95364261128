"""Whole detectors."""

from .candidates import CandidateCrop
from .dense3d import DenseDetector3D
from .focalmix import FocalMixDetector

__all__ = ['CandidateCrop', 'DenseDetector3D', 'FocalMixDetector']
