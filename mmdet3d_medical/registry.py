"""Registries of the package: children of mmengine's, with scope ``mmdet3d_medical``.

A name is looked up here first, then in mmengine. Parts of mmdet need their prefix, for example
``type='mmdet.SmoothL1Loss'``. Importing a registry imports nothing else: the modules in
``locations`` are imported when a name is first looked up.
"""

from mmengine import registry as root
from mmengine.registry import Registry

SCOPE = 'mmdet3d_medical'


def _child(name: str, parent: Registry, *locations: str) -> Registry:
    return Registry(
        name,
        parent=parent,
        scope=SCOPE,
        locations=[f'{SCOPE}.{location}' for location in locations],
    )


MODELS = _child('model', root.MODELS, 'models')
TASK_UTILS = _child('task util', root.TASK_UTILS, 'models.task_modules')
DATASETS = _child('dataset', root.DATASETS, 'datasets')
DATA_SAMPLERS = _child('data sampler', root.DATA_SAMPLERS, 'datasets.samplers')
TRANSFORMS = _child('transform', root.TRANSFORMS, 'datasets.transforms')
HOOKS = _child('hook', root.HOOKS, 'engine.hooks')
METRICS = _child('metric', root.METRICS, 'evaluation.metrics')

__all__ = [
    'DATASETS',
    'DATA_SAMPLERS',
    'HOOKS',
    'METRICS',
    'MODELS',
    'SCOPE',
    'TASK_UTILS',
    'TRANSFORMS',
]
