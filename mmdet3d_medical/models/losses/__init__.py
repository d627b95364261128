"""Losses on dense targets."""

from .box_iou3d_loss import BoxIoU3DLoss
from .soft_focal_loss import SoftFocalLoss

__all__ = ['BoxIoU3DLoss', 'SoftFocalLoss']
