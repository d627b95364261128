from .non_finite_loss import NonFiniteLossHook
from .semi_supervised import SemiSupervisedHook
from .whole_checkpoint import WholeCheckpointHook

__all__ = ['NonFiniteLossHook', 'SemiSupervisedHook', 'WholeCheckpointHook']
