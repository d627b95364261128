# retina3d_r18_fpn_small.py with a ResNet3D-101, an eighth as wide.
_base_ = './retina3d_r50_fpn_small.py'

model = dict(backbone=dict(depth=101))
