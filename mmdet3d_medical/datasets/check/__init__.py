"""What is wrong with a converted data set, alone and for a config."""

from .config import check_config
from .problem import ERROR, WARNING, Problem
from .scans import check_scans
from .splits import check_splits

__all__ = ['ERROR', 'WARNING', 'Problem', 'check_config', 'check_scans', 'check_splits']
