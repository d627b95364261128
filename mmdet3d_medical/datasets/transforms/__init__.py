from .crop import RandomCrop3D, RandomResizedCrop3D
from .formatting import PackVolumeInputs
from .intensity import RandomGaussianNoise, RandomHUShiftScale, RandomSharpness
from .loading import LoadCandidates, LoadVolume
from .mixup import ImageMixUp, ObjectMixUp
from .spatial import RandomFlip3D, RandomPermuteAxes

__all__ = [
    'ImageMixUp',
    'LoadCandidates',
    'LoadVolume',
    'ObjectMixUp',
    'PackVolumeInputs',
    'RandomCrop3D',
    'RandomFlip3D',
    'RandomGaussianNoise',
    'RandomHUShiftScale',
    'RandomPermuteAxes',
    'RandomResizedCrop3D',
    'RandomSharpness',
]
