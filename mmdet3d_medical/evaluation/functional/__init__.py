"""Scores as plain functions."""

from .average_precision import average_precision
from .froc import FP_RATES, FROCResult, froc

__all__ = ['FP_RATES', 'FROCResult', 'average_precision', 'froc']
