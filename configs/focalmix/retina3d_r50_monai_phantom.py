# FocalMix around the RetinaNet of MONAI's bundle on synthetic chest CTs at 2 mm: 10 labeled and 100
# unlabeled scans, 4 + 4 patches.
#
# Data:  as retina3d_fpn_phantom.py says
# Train: python tools/train.py configs/focalmix/retina3d_r50_monai_phantom.py
# Test:  python tools/test.py configs/focalmix/retina3d_r50_monai_phantom.py CHECKPOINT \
#            --out marks.csv
# CPM beside supervised training: docs/systems.md.
_base_ = [
    '../_base_/models/retina3d_r50_monai_small.py',
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
            # in the middle of cells, as in MONAI 1.6, so that mirrored anchors are anchors
            anchor_generator=dict(_base_.model.bbox_head.anchor_generator, center_offset=0.5),
            sampler=None,
            loss_cls=dict(type='SoftFocalLoss', alpha=(0.25, 0.75), gamma=2.0),
        ),
    ),
    # Anchors differ along the axes.
    views=dict(permute_axes=()),
)
custom_hooks = [dict(type='SemiSupervisedHook', rampup_iters=600)]
default_hooks = dict(checkpoint=dict(interval=500))
