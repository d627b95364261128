"""Scores as plain functions."""

from .average_precision import average_precision
from .difference import Difference, cpm_difference, mean_cpm_difference
from .errors import Mistake, SizeScore, recall_by_size, worst_mistakes
from .froc import FP_RATES, FROCResult, froc

__all__ = [
    'FP_RATES',
    'Difference',
    'FROCResult',
    'Mistake',
    'SizeScore',
    'average_precision',
    'cpm_difference',
    'froc',
    'mean_cpm_difference',
    'recall_by_size',
    'worst_mistakes',
]
