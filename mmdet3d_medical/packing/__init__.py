"""Trained detectors as folders of plain data: weights, what they are for, a model card."""

from .folder import ModelFolder, find_model, read_model, shipped_models, write_model
from .schema import ModelFacts, OperatingPoint, voxels_of

__all__ = [
    'ModelFacts',
    'ModelFolder',
    'OperatingPoint',
    'find_model',
    'read_model',
    'shipped_models',
    'voxels_of',
    'write_model',
]
