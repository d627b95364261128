"""From samples of the data set to a batch on the device."""

from .branch_data_preprocessor import BranchDataPreprocessor
from .location_data_preprocessor import LocationDataPreprocessor
from .volume_data_preprocessor import VolumeDataPreprocessor

__all__ = ['BranchDataPreprocessor', 'LocationDataPreprocessor', 'VolumeDataPreprocessor']
