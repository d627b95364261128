# retina3d_r18_fpn_small.py with a ResNet3D-50, an eighth as wide.
_base_ = './retina3d_r18_fpn_small.py'

model = dict(
    backbone=dict(depth=50, base_channels=8),
    neck=dict(in_channels=[32, 64, 128]),
    # As large as the patches: so many convolutions learn the zeros around them (docs/model.md).
    test_cfg=dict(tile_size=32, tile_overlap=8, tile_batch=8),
)
