from .check_classes import CheckClassesHook
from .non_finite_loss import NonFiniteLossHook
from .plain_meta import PlainMetaHook
from .semi_supervised import SemiSupervisedHook
from .volume_visualization import VolumeVisualizationHook
from .whole_checkpoint import WholeCheckpointHook

__all__ = [
    'CheckClassesHook',
    'NonFiniteLossHook',
    'PlainMetaHook',
    'SemiSupervisedHook',
    'VolumeVisualizationHook',
    'WholeCheckpointHook',
]
