# FocalMix (CVPR 2020, arXiv 2003.09108) on LUNA16: 25 labeled and 400 unlabeled scans, patches of
# 160^3, 8 + 8 in a batch, K = 4 views, MixUp of patches and of lesions.
#
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/focalmix/retina3d_fpn_luna16.py --amp
# Test:  python tools/test.py configs/focalmix/retina3d_fpn_luna16.py CHECKPOINT --out marks.csv
# Estimated (docs/focalmix.md, "Cost"): 8.7 TFLOP, 7.1 GB and 0.25 s a step on an A100 (--amp), 2.8
# hours for 40,000 steps if loading keeps up. Not trained yet: that needs LUNA16 and a GPU. The
# paper reports CPM 0.781, and 0.666 for the 25 labeled scans alone. It states K, the patches and
# the batch; T = 0.7, eta = 0.2 and the ramp-up are choices.
_base_ = [
    '../_base_/models/retina3d_r18_fpn.py',
    '../_base_/datasets/luna16_semi.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
model = dict(
    _delete_=True,
    type='FocalMixDetector',
    detector=_base_.model,
    views=dict(num=4),
    temperature=0.7,
    image_mixup=dict(type='ImageMixUp', eta=0.2),
    object_mixup=dict(type='ObjectMixUp', eta=0.2),
)
custom_hooks = [dict(type='SemiSupervisedHook', rampup_iters=4000)]
