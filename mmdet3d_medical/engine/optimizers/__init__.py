from .bfloat16_optim_wrapper import BFloat16OptimWrapper
from .decay_weights import DecayWeightsOnly

__all__ = ['BFloat16OptimWrapper', 'DecayWeightsOnly']
