# FocalMix around S4ND on LUNA16: 25 labeled and 400 unlabeled scans, 2 + 2 slabs.
#
# Data:  as configs/s4nd/s4nd_luna16.py says, with --labeled 25 --unlabeled 400 for make_splits.py
# Train: python tools/train.py configs/focalmix/s4nd_luna16.py --amp
# Test:  python tools/test.py configs/focalmix/s4nd_luna16.py CHECKPOINT --out marks.csv
# Not trained yet: that needs LUNA16 and a GPU. Views mirror all axes and exchange y and x, along
# which cells are alike.
_base_ = [
    '../_base_/models/s4nd.py',
    '../_base_/datasets/luna16_s4nd_semi.py',
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
            # FocalMix's own, not S4ND's weighted cross entropy
            loss_cls=dict(type='SoftFocalLoss', alpha=(0.25, 0.75), gamma=2.0),
        ),
    ),
)
custom_hooks = [dict(type='SemiSupervisedHook', rampup_iters=4000)]
