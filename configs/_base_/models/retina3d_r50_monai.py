# The network of MONAI's bundle lung_nodule_ct_detection, layer by layer: the first two stages of a
# ResNet3D-50 behind a pooling stem, a pyramid of three levels, of which the last is every other
# voxel of the second, and four convolutions with group norm in each branch.
#
# (z, y, x) here, (x, y, z) there: anchors, strides and tiles are the bundle's, turned round.
# Anchors are centered on the corners of cells, as in the MONAI that the bundle was made with (0.9;
# 1.6 puts them in the middle of cells), and half their sides are rounded.
max_stride = (8, 16, 16)
head_norm = dict(type='GN', num_groups=8)
shapes = [(4, 8, 6), (5, 6, 8), (6, 10, 10)]

model = dict(
    type='DenseDetector3D',
    data_preprocessor=dict(
        type='VolumeDataPreprocessor',
        window=(-1024, 300),
        value_range=(0.0, 1.0),
        pad_size_divisor=max_stride,
    ),
    backbone=dict(
        type='ResNet3D',
        depth=50,
        base_channels=64,
        stem_kernel=7,
        stem_stride=(1, 2, 2),
        stem_pool=True,
        strides=(1, 2),
        out_indices=(0, 1),
        norm_cfg=dict(type='BN3d'),
        shortcut_bias=True,
    ),
    neck=dict(type='FPN3D', in_channels=[256, 512], out_channels=256, num_outs=3, extra='pool'),
    bbox_head=dict(
        type='Retina3DHead',
        num_classes=1,
        in_channels=256,
        feat_channels=256,
        stacked_convs=4,
        norm_cfg=head_norm,
        conv_bias=True,
        anchor_generator=dict(
            type='Anchor3DGenerator',
            strides=[(2, 4, 4), (4, 8, 8), max_stride],
            sizes=[[[scale * side for side in shape] for shape in shapes] for scale in (1, 2, 4)],
            center_offset=0.0,
            round_halves=True,
        ),
        bbox_coder=dict(type='DeltaBox3DCoder', max_ratio=1000 / 16),
        # Four positions of each level, three anchors each.
        assigner=dict(type='ATSS3DAssigner', topk=4 * len(shapes), center_inside=False),
        sampler=dict(
            type='HardNegativeSampler',
            num_samples=64,
            positive_fraction=0.3,
            pool_size=20,
            min_negatives=16,
        ),
        loss_cls=dict(type='SoftFocalLoss', alpha=(1.0, 1.0), gamma=0.0),
        # The mean over positives and over the six numbers of each.
        loss_bbox=dict(type='mmdet.SmoothL1Loss', beta=1 / 9, loss_weight=1 / 6),
    ),
    test_cfg=dict(
        tile_size=(192, 512, 512),
        tile_overlap=(48, 128, 128),
        score_thr=0.02,
        nms_pre=3000,
        nms_iou=0.22,
        max_per_scan=300,
    ),
)

# FocalMix: soft targets cannot be mined. Anchors in the middle of cells, as in MONAI 1.6, so that
# mirrored anchors are anchors; they differ along the axes.
soft_targets = dict(
    detector=dict(
        bbox_head=dict(
            anchor_generator=dict(center_offset=0.5),
            sampler=None,
            loss_cls=dict(_delete_=True, type='SoftFocalLoss', alpha=(0.25, 0.75), gamma=2.0),
        ),
    ),
    targets=dict(views=dict(permute_axes=())),
)
