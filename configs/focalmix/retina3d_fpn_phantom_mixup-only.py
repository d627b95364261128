# Supervised training with both kinds of MixUp on all training scans of phantoms (no unlabeled
# scans).
#
# Train: python tools/train.py configs/focalmix/retina3d_fpn_phantom_mixup-only.py
# Data: see README.md; test, time and memory: ../retina3d/retina3d_fpn_phantom.py.
# With 5 labeled scans: projects/benchmark/phantoms.
_base_ = '../retina3d/retina3d_fpn_phantom.py'
model = dict(
    _delete_=True,
    type='FocalMixDetector',
    detector=_base_.model,
    image_mixup=dict(type='ImageMixUp', eta=0.2),
    object_mixup=dict(type='ObjectMixUp', eta=0.2),
)
