"""Networks that turn a volume into feature maps."""

from .resnet3d import ResNet3D

__all__ = ['ResNet3D']
