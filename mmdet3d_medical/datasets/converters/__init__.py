from .annotations import read_annotations
from .cache import ConvertSettings, ScanSource, VolumeCache, convert_scans
from .dicom import SeriesRules, convert_dicom
from .luna16 import convert_luna16
from .node21_crops import convert_node21_crops
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
    'convert_node21_crops',
    'convert_scans',
    'convert_volumes',
    'read_annotations',
]
