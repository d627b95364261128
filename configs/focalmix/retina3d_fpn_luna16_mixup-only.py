# Supervised training with both kinds of MixUp on the 533 training scans of LUNA16 (the paper's
# Table 4 reports CPM 0.900).
#
# Train: python tools/train.py configs/focalmix/retina3d_fpn_luna16_mixup-only.py --amp
# Data, test, time and memory: as ../retina3d/retina3d_fpn_luna16.py says. Not trained yet.
_base_ = '../retina3d/retina3d_fpn_luna16.py'
model = dict(
    _delete_=True,
    type='FocalMixDetector',
    detector=_base_.model,
    image_mixup=dict(type='ImageMixUp', eta=0.2),
    object_mixup=dict(type='ObjectMixUp', eta=0.2),
)
