# Targets guessed over 8 views instead of 4, 100 labeled and 400 unlabeled scans of LUNA16 (the
# paper's Table 3b: CPM 0.871).
#
# Train: python tools/train.py configs/focalmix/retina3d_fpn_luna16_100l-400u_k8.py --amp
# Data, test and memory: as retina3d_fpn_luna16.py says; a step takes 1.4 times as long (estimated).
# Not trained yet.
_base_ = './retina3d_fpn_luna16_100l-400u.py'
model = dict(views=dict(num=8))
