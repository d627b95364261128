# FocalMix around DeepSEED on LUNA16: 25 labeled and 400 unlabeled scans, with the patches and the
# schedule of FocalMix.
#
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/focalmix/deepseed_luna16.py --amp
# Test:  python tools/test.py configs/focalmix/deepseed_luna16.py CHECKPOINT --out marks.csv
# Not trained yet: that needs LUNA16 and a GPU. Soft targets cannot be mined, so the soft-target
# focal loss takes all anchors. The channels of location are viewed with the image, not mixed.
_base_ = [
    '../_base_/models/deepseed.py',
    '../_base_/datasets/luna16_semi.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
model = dict(
    _delete_=True,
    type='FocalMixDetector',
    detector=dict(
        _base_.model,
        bbox_head=dict(
            _base_.model.bbox_head,
            sampler=None,
            loss_cls=dict(type='SoftFocalLoss', alpha=(0.25, 0.75), gamma=2.0),
        ),
    ),
)
custom_hooks = [dict(type='SemiSupervisedHook', rampup_iters=4000)]
