from .non_finite_loss import NonFiniteLossHook
from .semi_supervised import SemiSupervisedHook

__all__ = ['NonFiniteLossHook', 'SemiSupervisedHook']
