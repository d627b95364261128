# The same detector for phantoms at 2 mm voxels: a quarter as wide, levels at strides 2, 4 and 8,
# anchors of 5 to 28 mm. Two tiles at once: torch takes a slow convolution for a batch of one.
_base_ = './retina3d_r18_fpn.py'
max_stride = 8

model = dict(
    data_preprocessor=dict(pad_size_divisor=max_stride),
    backbone=dict(base_channels=8, strides=(1, 2, 2)),
    neck=dict(in_channels=[8, 16, 32], out_channels=16),
    bbox_head=dict(
        in_channels=16,
        feat_channels=16,
        stacked_convs=1,
        anchor_generator=dict(strides=[2, 4, max_stride], sizes=[[2.5, 4], [5, 7], [10, 14]]),
    ),
    test_cfg=dict(tile_size=(64, 128, 128), tile_overlap=24, tile_batch=2),
    channels_last=True,
)
