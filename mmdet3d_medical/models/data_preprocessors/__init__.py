"""From samples of the data set to a batch on the device."""

from .volume_data_preprocessor import VolumeDataPreprocessor

__all__ = ['VolumeDataPreprocessor']
