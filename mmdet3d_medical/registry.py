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
TASK_UTILS = _child('task util', root.TASK_UTILS, 'models.task_modules', 'models.semi')
DATASETS = _child('dataset', root.DATASETS, 'datasets')
DATA_SAMPLERS = _child('data sampler', root.DATA_SAMPLERS, 'datasets.samplers')
TRANSFORMS = _child('transform', root.TRANSFORMS, 'datasets.transforms')
HOOKS = _child('hook', root.HOOKS, 'engine.hooks')
METRICS = _child('metric', root.METRICS, 'evaluation.metrics')
OPTIM_WRAPPERS = _child('optimizer wrapper', root.OPTIM_WRAPPERS, 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    'optimizer wrapper constructor', root.OPTIM_WRAPPER_CONSTRUCTORS, 'engine'
)
VISUALIZERS = _child('visualizer', root.VISUALIZERS, 'visualization.visualizer')

# Nothing of ours is in these; with them mmengine finds its own parts under our scope.
EVALUATOR = _child('evaluator', root.EVALUATOR)
LOG_PROCESSORS = _child('log processor', root.LOG_PROCESSORS)
LOOPS = _child('loop', root.LOOPS)
MODEL_WRAPPERS = _child('model wrapper', root.MODEL_WRAPPERS)
OPTIMIZERS = _child('optimizer', root.OPTIMIZERS)
PARAM_SCHEDULERS = _child('parameter scheduler', root.PARAM_SCHEDULERS)
RUNNERS = _child('runner', root.RUNNERS)
VISBACKENDS = _child('visualizer backend', root.VISBACKENDS)
WEIGHT_INITIALIZERS = _child('weight initializer', root.WEIGHT_INITIALIZERS)
