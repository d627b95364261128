# The same detector for phantoms at 2 mm voxels: an eighth as wide, levels at strides 2, 4 and 8,
# anchors of 4 to 32 mm.
_base_ = './retina3d_r50_monai.py'
max_stride = 8
shapes = [(2, 4, 2), (2, 2, 4), (4, 4, 4)]

model = dict(
    data_preprocessor=dict(pad_size_divisor=max_stride),
    backbone=dict(base_channels=8, stem_stride=1),
    neck=dict(in_channels=[32, 64], out_channels=32),
    bbox_head=dict(
        in_channels=32,
        feat_channels=32,
        stacked_convs=1,
        anchor_generator=dict(
            strides=[2, 4, max_stride],
            sizes=[[[scale * side for side in shape] for shape in shapes] for scale in (1, 2, 4)],
        ),
    ),
    test_cfg=dict(tile_size=128, tile_overlap=32, nms_pre=1000, max_per_scan=100),
    channels_last=True,
)
