from .hooks import NonFiniteLossHook
from .optimizers import BFloat16OptimWrapper

__all__ = ['BFloat16OptimWrapper', 'NonFiniteLossHook']
