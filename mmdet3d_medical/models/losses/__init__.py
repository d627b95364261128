"""Losses on dense targets."""

from .box_iou3d_loss import BoxIoU3DLoss
from .soft_focal_loss import SoftFocalLoss
from .soft_squared_error_loss import SoftSquaredErrorLoss

__all__ = ['BoxIoU3DLoss', 'SoftFocalLoss', 'SoftSquaredErrorLoss']
