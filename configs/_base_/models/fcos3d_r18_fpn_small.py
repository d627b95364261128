# FCOS on the network of retina3d_r18_fpn_small.py: lesions of up to 4 strides belong to a level,
# at 2 mm voxels 16 mm to the first and 32 mm to the second.
_base_ = './retina3d_r18_fpn_small.py'

model = dict(
    bbox_head=dict(
        _delete_=True,
        type='FCOS3DHead',
        num_classes=1,
        in_channels=16,
        feat_channels=16,
        stacked_convs=1,
        norm_cfg=dict(type='GN', num_groups=8),
        strides=[2, 4, 8],
        assigner=dict(type='CenterSampling3DAssigner', radius=1.5, max_cells=4.0),
        loss_cls=dict(type='SoftFocalLoss', alpha=(0.25, 0.75), gamma=2.0),
        loss_bbox=dict(type='BoxIoU3DLoss', mode='giou'),
    ),
)
