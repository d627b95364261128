"""Whole detectors."""

from .dense3d import DenseDetector3D

__all__ = ['DenseDetector3D']
