"""Parts of semi-supervised training that ``FocalMixDetector`` is composed of."""

from .loss import LabeledPositives, OwnPositives, ScoreSum, UnlabeledLoss
from .steps import IgnoreRange, Sharpen, Threshold, TopK, sharpen
from .strong_views import StrongBlur, StrongContrast, StrongErasing, StrongNoise
from .targets import AnchorTargets, BoxTargets, Guess, guessing
from .teachers import EMATeacher, EnsembleTeacher, FrozenTeacher

__all__ = [
    'AnchorTargets',
    'BoxTargets',
    'EMATeacher',
    'EnsembleTeacher',
    'FrozenTeacher',
    'Guess',
    'IgnoreRange',
    'LabeledPositives',
    'OwnPositives',
    'ScoreSum',
    'Sharpen',
    'StrongBlur',
    'StrongContrast',
    'StrongErasing',
    'StrongNoise',
    'Threshold',
    'TopK',
    'UnlabeledLoss',
    'guessing',
    'sharpen',
]
