# FocalMix around DeepLung's detector (Res18) on LUNA16: 25 labeled and 400 unlabeled scans with
# its own patches and schedule.
#
# Data:  as configs/deeplung/deeplung_res18_luna16.py says
# Train: python tools/train.py configs/focalmix/deeplung_res18_luna16.py --amp
# Test:  python tools/test.py configs/focalmix/deeplung_res18_luna16.py CHECKPOINT --out marks.csv
# Not trained yet: that needs LUNA16 and a GPU. Soft targets cannot be mined, so the soft-target
# focal loss takes all anchors. The channels of location are viewed with the image, not mixed.
_base_ = [
    '../deeplung/deeplung_res18_luna16.py',
    '../_base_/semi/luna16.py',
    '../_base_/methods/focalmix.py',
]
from mmdet3d_medical.apis.semi import semi_supervised

model, train_dataloader, custom_hooks = semi_supervised(_base_)
