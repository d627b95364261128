# FocalMix around the base model with a deeper backbone, ResNet3D-50, on LUNA16: 25 labeled and
# 400 unlabeled scans.
#
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/focalmix/retina3d_r50_fpn_luna16.py --amp
# Test:  python tools/test.py configs/focalmix/retina3d_r50_fpn_luna16.py CHECKPOINT --out marks.csv
# Not trained yet: that needs LUNA16 and a GPU.
_base_ = [
    '../_base_/models/retina3d_r50_fpn.py',
    '../_base_/datasets/luna16_semi.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
model = dict(_delete_=True, type='FocalMixDetector', detector=_base_.model)
custom_hooks = [dict(type='SemiSupervisedHook', rampup_iters=4000)]
