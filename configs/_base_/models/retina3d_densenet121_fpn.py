# retina3d_r18_fpn.py with the first three blocks of MONAI's DenseNet-121.
_base_ = './retina3d_r18_fpn.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='MONAIEncoder',
        name='DenseNet121',
        args=dict(spatial_dims=3, in_channels=1, out_channels=1, init_features=64, growth_rate=32),
        out_modules=('features.denseblock1', 'features.denseblock2', 'features.denseblock3'),
    ),
    neck=dict(in_channels=None),  # as many as the backbone puts out
)
