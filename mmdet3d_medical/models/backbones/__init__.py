"""Networks that turn a volume into feature maps."""

from .plain_conv_encoder3d import PlainConvEncoder3D
from .resnet3d import ResNet3D

__all__ = ['PlainConvEncoder3D', 'ResNet3D']
