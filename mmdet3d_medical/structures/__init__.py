"""Geometry of volumes and plain functions on 3D boxes."""

from .geometry import VolumeGeometry

__all__ = ['VolumeGeometry']
