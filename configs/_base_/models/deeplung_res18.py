# The detector of DeepLung (Zhu et al. 2018, arXiv 1801.09555) with its residual network: one level
# at stride 4, cubes of 5, 10 and 20 mm, hard negatives; position in the scan as an input.
#
# HU -1200 to 600 become 0 to 255, then (v - 128) / 128; padding is 170 of these, 0 HU. A lesion
# that no anchor overlaps by half goes to the one that overlaps it most, if by 0.02: a choice.
model = dict(
    type='DenseDetector3D',
    data_preprocessor=dict(
        type='LocationDataPreprocessor',
        window=(-1200, 600),
        value_range=(-1.0, 127 / 128),
        pad_value=42 / 128,
        pad_size_divisor=16,
    ),
    backbone=dict(
        type='DeepLungRes18',
        stem_channels=24,
        channels=(32, 64, 64, 64),
        decoder_channels=(64, 128),
        strides=(2, 2, 2, 2),
    ),
    bbox_head=dict(
        type='Pointwise3DHead',
        num_classes=1,
        in_channels=128,
        feat_channels=64,
        dropout=0.5,
        channel_dropout=True,
        prior_prob=0.01,
        anchor_generator=dict(type='Anchor3DGenerator', strides=[4], sizes=[[5, 10, 20]]),
        bbox_coder=dict(type='CubeBox3DCoder'),
        assigner=dict(
            type='mmdet.MaxIoUAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.02,
            min_pos_iou=0.02,
            iou_calculator=dict(type='mmdet3d_medical.BboxOverlaps3D'),
        ),
        # 0.5 BCE of positives + 0.5 BCE of negatives: `balance` averages each kind on its own
        sampler=dict(
            type='HardNegativeMining', num_candidates=800, num_negatives=2, num_positives=1
        ),
        loss_cls=dict(type='SoftFocalLoss', alpha=(0.5, 0.5), gamma=0.0),
        loss_bbox=dict(type='mmdet.SmoothL1Loss', beta=1.0),
    ),
    test_cfg=dict(
        tile_size=208,
        tile_overlap=64,
        score_thr=0.01,
        nms_pre=1000,
        nms_iou=0.1,
        max_per_scan=100,
    ),
)

# FocalMix: soft targets cannot be mined.
soft_targets = dict(
    detector=dict(
        bbox_head=dict(
            sampler=None,
            loss_cls=dict(_delete_=True, type='SoftFocalLoss', alpha=(0.25, 0.75), gamma=2.0),
        ),
    ),
)
