# FCOS on the network of retina3d_r18_fpn_small.py: lesions of up to 4 strides belong to a level,
# at 2 mm voxels 16 mm to the first and 32 mm to the second.
_base_ = './fcos3d_r18_fpn.py'
max_stride = 8

model = dict(
    data_preprocessor=dict(pad_size_divisor=max_stride),
    backbone=dict(base_channels=8, strides=(1, 2, 2)),
    neck=dict(in_channels=[8, 16, 32], out_channels=16),
    bbox_head=dict(in_channels=16, feat_channels=16, stacked_convs=1, strides=[2, 4, max_stride]),
    test_cfg=dict(tile_size=(64, 128, 128), tile_overlap=24, tile_batch=2),
    channels_last=True,
)
