# S4ND (Khosravan and Bagci 2018, arXiv 1805.02279): a slab of slices is divided into cells of one
# slice and 32 x 32 pixels, each of which says whether it contains a nodule.
#
# The paper does not say how a cell becomes a center and a diameter, and the center of a cell is
# mostly too far from the nodule's for LUNA16's score: here each cell also predicts a box. With
# bbox_head.bbox_coder=None it does not, and detections are cells. HU window, weights of the cross
# entropy, normalization and NMS are choices too.
cell = (1, 32, 32)

model = dict(
    type='DenseDetector3D',
    data_preprocessor=dict(
        type='VolumeDataPreprocessor', window=(-1000, 400), pad_size_divisor=cell
    ),
    backbone=dict(type='S4NDNet', growth_channels=(16, 16, 16, 32, 64), pools=(2, 2, 2, 4)),
    bbox_head=dict(
        type='Pointwise3DHead',
        num_classes=1,
        in_channels=512,
        feat_channels=0,
        dropout=0.0,
        anchor_generator=dict(type='Anchor3DGenerator', strides=[cell], sizes=[[cell]]),
        bbox_coder=dict(type='DeltaBox3DCoder'),
        assigner=dict(type='Cell3DAssigner', min_share=0.5),
        # weighted cross entropy: (background, lesion)
        loss_cls=dict(type='SoftFocalLoss', alpha=(0.05, 0.95), gamma=0.0),
        loss_bbox=dict(type='mmdet.SmoothL1Loss', beta=1.0),
    ),
    test_cfg=dict(
        tile_size=(8, 512, 512),
        tile_overlap=(4, 0, 0),
        score_thr=0.01,
        nms_pre=1000,
        nms_iou=0.1,
        max_per_scan=100,
    ),
)

# FocalMix has a loss of its own, not weighted cross entropy.
soft_targets = dict(
    detector=dict(
        bbox_head=dict(
            loss_cls=dict(_delete_=True, type='SoftFocalLoss', alpha=(0.25, 0.75), gamma=2.0)
        ),
    ),
)
