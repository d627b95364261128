# retina3d_r18_fpn.py with the first three stages of a ResNet3D-101, as wide as in 2D.
_base_ = './retina3d_r50_fpn.py'

model = dict(backbone=dict(depth=101))
