from .crop import RandomCrop3D, RandomResizedCrop3D
from .formatting import PackVolumeInputs
from .loading import LoadVolume
from .spatial import RandomFlip3D, RandomPermuteAxes

__all__ = ['LoadVolume', 'PackVolumeInputs', 'RandomCrop3D', 'RandomFlip3D', 'RandomPermuteAxes',
           'RandomResizedCrop3D']
