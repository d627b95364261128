# retina3d_r18_fpn_small.py with a ResNeXt3D-101 32x4d, an eighth as wide.
_base_ = './retina3d_r18_fpn_small.py'

model = dict(
    backbone=dict(depth=101, num_groups=8, group_channels=2, base_channels=8),
    neck=dict(in_channels=[32, 64, 128]),
)
