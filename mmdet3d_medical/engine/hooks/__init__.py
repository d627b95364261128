from .check_classes import CheckClassesHook
from .guess_log import GuessLogHook
from .non_finite_loss import NonFiniteLossHook
from .plain_meta import PlainMetaHook
from .semi_supervised import (
    MixUpOffHook,
    SemiSupervisedHook,
    TeacherHook,
    UnlabeledWeightHook,
)
from .volume_visualization import VolumeVisualizationHook
from .whole_checkpoint import WholeCheckpointHook

__all__ = [
    'CheckClassesHook',
    'GuessLogHook',
    'MixUpOffHook',
    'NonFiniteLossHook',
    'PlainMetaHook',
    'SemiSupervisedHook',
    'TeacherHook',
    'UnlabeledWeightHook',
    'VolumeVisualizationHook',
    'WholeCheckpointHook',
]
