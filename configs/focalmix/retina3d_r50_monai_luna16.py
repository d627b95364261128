# FocalMix around the RetinaNet of MONAI's bundle on LUNA16: 25 labeled and 400 unlabeled scans, 2 +
# 2 patches.
#
# Data:  as configs/retina3d/retina3d_r50_monai_luna16.py says, with --labeled 25 --unlabeled 400
#        for make_splits.py
# Train: python tools/train.py configs/focalmix/retina3d_r50_monai_luna16.py --amp
# Test:  python tools/test.py configs/focalmix/retina3d_r50_monai_luna16.py CHECKPOINT \
#            --out marks.csv
# Estimated (docs/focalmix.md, "Cost"): 71 TFLOP, 14.3 GB and 1.12 s a step of 2 + 2 patches on an
# A100 (--amp), 12.4 hours for 40,000 steps if loading keeps up; 8.3 GB with --cfg-options
# model.detector.recompute_activations=True. Not trained yet: that needs LUNA16 and a GPU. The
# bundle's weights do not fit these anchors.
_base_ = [
    '../_base_/models/retina3d_r50_monai.py',
    '../_base_/datasets/luna16_monai_semi.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
model = dict(
    _delete_=True,
    type='FocalMixDetector',
    detector=dict(
        _base_.model,
        winograd=True,  # half of the time on CPUs
        bbox_head=dict(
            _base_.model.bbox_head,
            # in the middle of cells, as in MONAI 1.6, so that mirrored anchors are anchors
            anchor_generator=dict(_base_.model.bbox_head.anchor_generator, center_offset=0.5),
            sampler=None,
            loss_cls=dict(type='SoftFocalLoss', alpha=(0.25, 0.75), gamma=2.0),
        ),
    ),
    # Anchors differ along the axes.
    views=dict(permute_axes=()),
)
custom_hooks = [dict(type='SemiSupervisedHook', rampup_iters=4000)]
