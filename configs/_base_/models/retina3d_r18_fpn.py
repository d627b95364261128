# RetinaNet on volumes for lesions of 3 to 32 mm at 1 mm voxels: ResNet3D-18, FPN at strides 4, 8
# and 16, cubic anchors. The FocalMix paper states no backbone, levels, anchor sizes, HU window
# or assignment; these are our choices.
max_stride = 16
head_norm = dict(type='GN', num_groups=8)

model = dict(
    type='DenseDetector3D',
    data_preprocessor=dict(
        type='VolumeDataPreprocessor', window=(-1000, 400), pad_size_divisor=max_stride
    ),
    backbone=dict(
        type='ResNet3D',
        depth=18,
        base_channels=32,
        stem_kernel=3,
        stem_stride=2,
        strides=(2, 2, 2),
        out_indices=(0, 1, 2),
        norm_cfg=dict(type='BN3d'),
    ),
    neck=dict(type='FPN3D', in_channels=[32, 64, 128], out_channels=64),
    bbox_head=dict(
        type='Retina3DHead',
        num_classes=1,
        in_channels=64,
        feat_channels=64,
        stacked_convs=2,
        norm_cfg=head_norm,
        anchor_generator=dict(
            type='Anchor3DGenerator',
            strides=[4, 8, max_stride],
            sizes=[[4, 6], [9, 13], [19, 27]],
        ),
        bbox_coder=dict(type='DeltaBox3DCoder'),
        assigner=dict(type='ATSS3DAssigner', topk=8),
        loss_cls=dict(type='SoftFocalLoss', alpha=(0.25, 0.75), gamma=2.0),
        loss_bbox=dict(type='mmdet.SmoothL1Loss', beta=1 / 9),
    ),
    test_cfg=dict(
        tile_size=192,
        tile_overlap=64,
        score_thr=0.01,
        nms_pre=1000,
        nms_iou=0.1,
        max_per_scan=100,
    ),
)
