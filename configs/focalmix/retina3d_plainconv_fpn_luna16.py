# FocalMix around a detector with another backbone, the plain encoder of nnU-Net, on LUNA16: 25
# labeled and 400 unlabeled scans.
#
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/focalmix/retina3d_plainconv_fpn_luna16.py --amp
# Test:  python tools/test.py configs/focalmix/retina3d_plainconv_fpn_luna16.py CHECKPOINT \
#            --out marks.csv
# Estimated (docs/focalmix.md, "Cost"): 7.9 TFLOP, 10.2 GB and 0.39 s a step on an A100 (--amp), 4.3
# hours for 40,000 steps if loading keeps up. Not trained yet: that needs LUNA16 and a GPU.
_base_ = [
    '../retina3d/retina3d_plainconv_fpn_luna16.py',
    '../_base_/semi/luna16.py',
    '../_base_/methods/focalmix.py',
]
from mmdet3d_medical.apis.semi import semi_supervised

model, train_dataloader, custom_hooks = semi_supervised(_base_)
