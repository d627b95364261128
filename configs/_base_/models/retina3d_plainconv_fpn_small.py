# retina3d_r18_fpn_small.py with the plain encoder of nnU-Net in the place of the ResNet: the same
# channels at strides 2, 4 and 8, and a stage below at full resolution.
_base_ = './retina3d_r18_fpn_small.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='PlainConvEncoder3D',
        base_channels=4,
        strides=(1, 2, 2, 2),
        out_indices=(1, 2, 3),
    ),
    neck=dict(in_channels=None),
)
