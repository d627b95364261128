"""Synthetic chest CT with nodules, written as a LUNA16 data set."""

from .scan import PhantomScan, make_scan, scan_uid
from .settings import DIFFICULTIES, PhantomSettings, phantom_settings
from .writer import PhantomWriter

__all__ = [
    'DIFFICULTIES',
    'PhantomScan',
    'PhantomSettings',
    'PhantomWriter',
    'make_scan',
    'phantom_settings',
    'scan_uid',
]
