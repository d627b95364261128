from .index import open_index, read_index, write_index
from .luna16 import LUNA16Dataset
from .multi_source import MultiSourceDataset, branch_in_use
from .samplers import Draw, InfiniteDrawSampler, MultiSourceDrawSampler
from .transforms import *  # noqa: F401,F403
from .volume_det import VolumeDetDataset

__all__ = [
    'Draw',
    'InfiniteDrawSampler',
    'LUNA16Dataset',
    'MultiSourceDataset',
    'MultiSourceDrawSampler',
    'VolumeDetDataset',
    'branch_in_use',
    'open_index',
    'read_index',
    'write_index',
]
