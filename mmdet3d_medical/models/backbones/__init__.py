"""Networks that turn a volume into feature maps."""

from .deeplung import DeepLungDPN26, DeepLungRes18
from .monai_encoder import MONAIEncoder
from .plain_conv_encoder3d import PlainConvEncoder3D
from .resnet3d import ResNet3D
from .s4nd import S4NDNet

__all__ = [
    'DeepLungDPN26',
    'DeepLungRes18',
    'MONAIEncoder',
    'PlainConvEncoder3D',
    'ResNet3D',
    'S4NDNet',
]
