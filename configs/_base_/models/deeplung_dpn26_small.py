# deeplung_res18_small.py with the dual path network of the same paper.
_base_ = './deeplung_res18_small.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='DeepLungDPN26',
        stem_channels=8,
        channels=(12, 12, 24, 24),
        decoder_channels=(24, 24),
        dense_channels=8,
        num_groups=4,
        strides=(2, 1, 2, 2),
    ),
    bbox_head=dict(in_channels=48),
)
