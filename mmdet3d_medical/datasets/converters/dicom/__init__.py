from .convert import convert_dicom
from .rules import SeriesRules

__all__ = ['SeriesRules', 'convert_dicom']
