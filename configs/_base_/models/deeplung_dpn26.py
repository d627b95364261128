# deeplung_res18.py with the dual path network of the same paper.
_base_ = './deeplung_res18.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='DeepLungDPN26',
        stem_channels=24,
        channels=(24, 48, 72, 96),
        decoder_channels=(128, 224),
        dense_channels=8,
        num_groups=8,
        strides=(2, 2, 2, 2),
    ),
    bbox_head=dict(in_channels=248),
)
