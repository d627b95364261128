"""Parts of 3D detectors."""

from . import (
    backbones,
    data_preprocessors,
    dense_heads,
    detectors,
    layers,
    losses,
    necks,
    semi,
    task_modules,
)

__all__ = [
    'backbones',
    'data_preprocessors',
    'dense_heads',
    'detectors',
    'layers',
    'losses',
    'necks',
    'semi',
    'task_modules',
]
