# retina3d_r18_fpn_small.py with MONAI's DenseNet-121, a quarter as wide, from its stem to its
# second block.
_base_ = './retina3d_r18_fpn_small.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='MONAIEncoder',
        name='DenseNet121',
        args=dict(spatial_dims=3, in_channels=1, out_channels=1, init_features=16, growth_rate=8),
        out_modules=('features.relu0', 'features.denseblock1', 'features.denseblock2'),
    ),
    neck=dict(in_channels=None),
)
