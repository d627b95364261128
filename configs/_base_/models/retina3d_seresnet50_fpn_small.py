# retina3d_r18_fpn_small.py with MONAI's SE-ResNet-50 up to its second stage, which has no narrower
# form.
_base_ = './retina3d_r18_fpn_small.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='MONAIEncoder',
        name='SEResNet50',
        args=dict(spatial_dims=3, in_channels=1, num_classes=1),
        out_modules=('layer0.relu1', 'layer1', 'layer2'),
    ),
    neck=dict(in_channels=None),
)
