# deeplung_res18_small.py with the dual path network of the same paper.
_base_ = './deeplung_res18_small.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='DeepLungDPN26',
        stem_channels=12,
        channels=(24, 24, 48, 48),
        decoder_channels=(48, 72),
        dense_channels=8,
        num_groups=4,
        strides=(2, 1, 2, 2),
    ),
    bbox_head=dict(in_channels=96),
)
