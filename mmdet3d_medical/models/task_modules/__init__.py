"""Anchors, box coding, overlaps and assignment: the parts without weights."""

from .anchor3d_generator import Anchor3DGenerator
from .atss3d_assigner import ATSS3DAssigner
from .bbox_overlaps3d import BboxOverlaps3D
from .cell3d_assigner import Cell3DAssigner
from .center_sampling3d_assigner import CenterSampling3DAssigner
from .cube_box3d_coder import CubeBox3DCoder
from .delta_box3d_coder import DeltaBox3DCoder
from .distance_box3d_coder import DistanceBox3DCoder
from .hard_negative_mining import HardNegativeMining, HardNegativeSampler

__all__ = [
    'ATSS3DAssigner',
    'Anchor3DGenerator',
    'BboxOverlaps3D',
    'Cell3DAssigner',
    'CenterSampling3DAssigner',
    'CubeBox3DCoder',
    'DeltaBox3DCoder',
    'DistanceBox3DCoder',
    'HardNegativeMining',
    'HardNegativeSampler',
]
