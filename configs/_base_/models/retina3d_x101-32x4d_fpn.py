# retina3d_r18_fpn.py with the first three stages of a ResNeXt3D-101 32x4d, as wide as in 2D.
_base_ = './retina3d_r50_fpn.py'

model = dict(backbone=dict(depth=101, num_groups=32, group_channels=4))
