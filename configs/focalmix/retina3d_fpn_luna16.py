# FocalMix (CVPR 2020, arXiv 2003.09108) on LUNA16: 25 labeled and 400 unlabeled scans, patches of
# 160^3, 8 + 8 in a batch, K = 4 views, MixUp of patches and of lesions.
#
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/focalmix/retina3d_fpn_luna16.py --amp
# Test:  python tools/test.py configs/focalmix/retina3d_fpn_luna16.py CHECKPOINT --out marks.csv
# Estimated (docs/focalmix.md, "Cost"): 7.0 TFLOP, 6.3 GB and 0.21 s a step on an A100 (--amp), 2.3
# hours for 40,000 steps if loading keeps up. Not trained yet: that needs LUNA16 and a GPU. The
# paper reports CPM 0.781, and 0.666 for the 25 labeled scans alone. It states K, the patches and
# the batch; T = 0.7, eta = 0.2 and the ramp-up are choices.
_base_ = [
    '../retina3d/retina3d_fpn_luna16.py',
    '../_base_/semi/luna16.py',
    '../_base_/methods/focalmix.py',
]
from mmdet3d_medical.apis.semi import semi_supervised

model, train_dataloader, custom_hooks = semi_supervised(_base_)
