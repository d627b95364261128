# FCOS on volumes: the network of retina3d_r18_fpn.py, but each cell predicts one box from its own
# center, so there are no anchor sizes to choose. Lesions of up to 4 strides belong to a level:
# 16 mm at 1 mm voxels to the first, 32 mm to the second.
_base_ = './retina3d_r18_fpn.py'

model = dict(
    bbox_head=dict(
        _delete_=True,
        type='FCOS3DHead',
        num_classes=1,
        in_channels=64,
        feat_channels=64,
        stacked_convs=2,
        norm_cfg=dict(type='GN', num_groups=8),
        strides=[4, 8, 16],
        assigner=dict(type='CenterSampling3DAssigner', radius=1.5, max_cells=4.0),
        loss_cls=dict(type='SoftFocalLoss', alpha=(0.25, 0.75), gamma=2.0),
        loss_bbox=dict(type='BoxIoU3DLoss', mode='giou'),
    ),
)
