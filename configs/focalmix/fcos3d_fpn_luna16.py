# FocalMix around an anchor-free detector on LUNA16: 25 labeled and 400 unlabeled scans.
#
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/focalmix/fcos3d_fpn_luna16.py --amp
# Test:  python tools/test.py configs/focalmix/fcos3d_fpn_luna16.py CHECKPOINT --out marks.csv
# Estimated (docs/focalmix.md, "Cost"): 7.0 TFLOP, 6.2 GB and 0.21 s a step on an A100 (--amp), 2.3
# hours for 40,000 steps if loading keeps up. Not trained yet: that needs LUNA16 and a GPU.
_base_ = [
    '../fcos3d/fcos3d_fpn_luna16.py',
    '../_base_/semi/luna16.py',
    '../_base_/methods/focalmix.py',
]
from mmdet3d_medical.apis.semi import semi_supervised

model, train_dataloader, custom_hooks = semi_supervised(_base_)
