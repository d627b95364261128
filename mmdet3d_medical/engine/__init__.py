from .hooks import NonFiniteLossHook, SemiSupervisedHook, WholeCheckpointHook
from .optimizers import BFloat16OptimWrapper

__all__ = ['BFloat16OptimWrapper', 'NonFiniteLossHook', 'SemiSupervisedHook',
           'WholeCheckpointHook']
