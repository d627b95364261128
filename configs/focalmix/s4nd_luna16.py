# FocalMix around S4ND on LUNA16: 25 labeled and 400 unlabeled scans, 2 + 2 slabs.
#
# Data:  as configs/s4nd/s4nd_luna16.py says, with --labeled 25 --unlabeled 400 for make_splits.py
# Train: python tools/train.py configs/focalmix/s4nd_luna16.py --amp
# Test:  python tools/test.py configs/focalmix/s4nd_luna16.py CHECKPOINT --out marks.csv
# Not trained yet: that needs LUNA16 and a GPU. Views mirror all axes and exchange y and x, along
# which cells are alike.
_base_ = [
    '../s4nd/s4nd_luna16.py',
    '../_base_/semi/luna16.py',
    '../_base_/methods/focalmix.py',
]
from mmdet3d_medical.apis.semi import semi_supervised

model, train_dataloader, custom_hooks = semi_supervised(_base_, patches=(2, 2))
