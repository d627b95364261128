# retina3d_r18_fpn.py with the plain encoder of nnU-Net in the place of the ResNet: the same
# channels at strides 4, 8 and 16, and two stages below, the first at full resolution.
_base_ = './retina3d_r18_fpn.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='PlainConvEncoder3D',
        base_channels=8,
        strides=(1, 2, 2, 2, 2),
        out_indices=(2, 3, 4),
    ),
)
