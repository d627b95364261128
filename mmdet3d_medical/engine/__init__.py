from ..utils import checkpoints  # noqa: F401  mmengine's runner reads checkpoints by it
from .hooks import (
    CheckClassesHook,
    NonFiniteLossHook,
    PlainMetaHook,
    SemiSupervisedHook,
    VolumeVisualizationHook,
    WholeCheckpointHook,
)
from .optimizers import BFloat16OptimWrapper, DecayWeightsOnly

__all__ = [
    'BFloat16OptimWrapper',
    'CheckClassesHook',
    'DecayWeightsOnly',
    'NonFiniteLossHook',
    'PlainMetaHook',
    'SemiSupervisedHook',
    'VolumeVisualizationHook',
    'WholeCheckpointHook',
]
