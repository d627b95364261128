# The same detector for phantoms at 2 mm voxels: about a quarter as wide, its level at stride 2,
# anchors of 5, 10 and 20 mm.
_base_ = './deeplung_res18.py'

model = dict(
    data_preprocessor=dict(pad_size_divisor=8),
    backbone=dict(
        stem_channels=8,
        channels=(8, 16, 16, 16),
        decoder_channels=(16, 16),
        strides=(2, 1, 2, 2),
    ),
    bbox_head=dict(
        in_channels=16,
        feat_channels=16,
        channel_dropout=False,  # half of so few channels would be much to miss; not compared
        anchor_generator=dict(strides=[2], sizes=[[2.5, 5, 10]]),
    ),
    test_cfg=dict(tile_size=128, tile_overlap=32),
    channels_last=True,
)
