# FocalMix around the base model with a deeper backbone, ResNet3D-50, on LUNA16: 25 labeled and
# 400 unlabeled scans.
#
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/focalmix/retina3d_r50_fpn_luna16.py --amp
# Test:  python tools/test.py configs/focalmix/retina3d_r50_fpn_luna16.py CHECKPOINT --out marks.csv
# Not trained yet: that needs LUNA16 and a GPU.
_base_ = [
    '../retina3d/retina3d_r50_fpn_luna16.py',
    '../_base_/semi/luna16.py',
    '../_base_/methods/focalmix.py',
]
from mmdet3d_medical.apis.semi import semi_supervised

model, train_dataloader, custom_hooks = semi_supervised(_base_)
