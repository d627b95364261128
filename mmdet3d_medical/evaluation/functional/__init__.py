"""Scores as plain functions."""

from .average_precision import average_precision
from .difference import (
    Difference,
    cpm_difference,
    difference_over_seeds,
    mean_cpm_difference,
)
from .errors import Mistake, SizeScore, recall_by_size, worst_mistakes
from .froc import FP_RATES, FROCResult, froc
from .operating_points import OperatingPoint, operating_points, rate_points

__all__ = [
    'FP_RATES',
    'Difference',
    'FROCResult',
    'Mistake',
    'OperatingPoint',
    'SizeScore',
    'average_precision',
    'cpm_difference',
    'difference_over_seeds',
    'froc',
    'mean_cpm_difference',
    'operating_points',
    'rate_points',
    'recall_by_size',
    'worst_mistakes',
]
