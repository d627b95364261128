from .annotations import read_annotations
from .cache import ConvertSettings, ScanSource, VolumeCache, convert_scans
from .luna16 import convert_luna16

__all__ = ['ConvertSettings', 'ScanSource', 'VolumeCache', 'convert_luna16', 'convert_scans',
           'read_annotations']
