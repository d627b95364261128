# retina3d_r18_fpn.py with the first three stages of a ResNet3D-50, as wide as in 2D.
_base_ = './retina3d_r18_fpn.py'

model = dict(
    backbone=dict(depth=50, base_channels=64),
    neck=dict(in_channels=[256, 512, 1024]),
    # As large as the patches: so many convolutions learn the zeros around them (docs/model.md).
    test_cfg=dict(tile_size=160),
)
