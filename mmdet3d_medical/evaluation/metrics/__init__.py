"""Metrics for mmengine's evaluator."""

from .froc_metric import FROCMetric

__all__ = ['FROCMetric']
