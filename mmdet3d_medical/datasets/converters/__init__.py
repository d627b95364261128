from .annotations import read_annotations
from .cache import ConvertSettings, ScanSource, VolumeCache, convert_scans
from .dicom import SeriesRules, convert_dicom
from .luna16 import convert_luna16
from .report import ConversionReport
from .volumes import convert_volumes

__all__ = [
    'ConversionReport',
    'ConvertSettings',
    'ScanSource',
    'SeriesRules',
    'VolumeCache',
    'convert_dicom',
    'convert_luna16',
    'convert_scans',
    'convert_volumes',
    'read_annotations',
]
