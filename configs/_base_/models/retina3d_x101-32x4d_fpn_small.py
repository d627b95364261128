# retina3d_r18_fpn_small.py with a ResNeXt3D-101 32x4d, an eighth as wide.
_base_ = './retina3d_r50_fpn_small.py'

model = dict(backbone=dict(depth=101, num_groups=8, group_channels=2))
