# retina3d_r18_fpn.py with the first three stages of MONAI's SE-ResNet-50.
_base_ = './retina3d_r18_fpn.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='MONAIEncoder',
        name='SEResNet50',
        args=dict(spatial_dims=3, in_channels=1, num_classes=1),
        out_modules=('layer1', 'layer2', 'layer3'),
    ),
    neck=dict(in_channels=None),  # as many as the backbone puts out
)
