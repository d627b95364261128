# The same detector for phantoms at 2 mm voxels: narrower, levels at strides 2, 4 and 8.
_base_ = './fcos3d_r18_fpn.py'
max_stride = 8

model = dict(
    data_preprocessor=dict(pad_size_divisor=max_stride),
    backbone=dict(base_channels=16, strides=(1, 2, 2)),
    neck=dict(in_channels=[16, 32, 64], out_channels=32),
    bbox_head=dict(
        in_channels=32, feat_channels=32, stacked_convs=1, strides=[2, 4, max_stride]
    ),
    test_cfg=dict(tile_size=128, tile_overlap=32),
)
