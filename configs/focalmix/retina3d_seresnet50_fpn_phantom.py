# FocalMix around the base model with a backbone of MONAI, SE-ResNet-50, on synthetic chest CTs at
# 2 mm: 10 labeled and 100 unlabeled scans, 4 + 4 patches.
#
# Needs: pip install monai
# Data:  as retina3d_fpn_phantom.py says
# Train: python tools/train.py configs/focalmix/retina3d_seresnet50_fpn_phantom.py
# Test:  python tools/test.py configs/focalmix/retina3d_seresnet50_fpn_phantom.py CHECKPOINT \
#            --out marks.csv
# CPM beside supervised training: docs/systems.md.
_base_ = [
    '../_base_/models/retina3d_seresnet50_fpn_small.py',
    '../_base_/datasets/phantom_semi.py',
    '../_base_/schedules/phantom.py',
    '../_base_/default_runtime.py',
]
model = dict(_delete_=True, type='FocalMixDetector', detector=_base_.model)
custom_hooks = [dict(type='SemiSupervisedHook', rampup_iters=600)]
default_hooks = dict(checkpoint=dict(interval=500))
