"""From samples of the data set to a batch on the device."""

from .branch_data_preprocessor import BranchDataPreprocessor
from .lazy_scan import LazyScan
from .location_data_preprocessor import LocationDataPreprocessor
from .volume_data_preprocessor import VolumeDataPreprocessor, prepares_parts

__all__ = [
    'BranchDataPreprocessor',
    'LazyScan',
    'LocationDataPreprocessor',
    'VolumeDataPreprocessor',
    'prepares_parts',
]
