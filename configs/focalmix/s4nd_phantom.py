# FocalMix around S4ND on synthetic chest CTs at 2 mm: 10 labeled and 100 unlabeled scans.
#
# Data:  as retina3d_fpn_phantom.py says
# Train: python tools/train.py configs/focalmix/s4nd_phantom.py
# Test:  python tools/test.py configs/focalmix/s4nd_phantom.py CHECKPOINT --out marks.csv
# CPM beside supervised training: docs/systems.md.
_base_ = [
    '../_base_/models/s4nd_small.py',
    '../_base_/datasets/phantom_semi.py',
    '../_base_/schedules/phantom.py',
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
custom_hooks = [dict(type='SemiSupervisedHook', rampup_iters=600)]
default_hooks = dict(checkpoint=dict(interval=500))
