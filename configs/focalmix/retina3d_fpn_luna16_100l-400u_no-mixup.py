# Without MixUp, 100 labeled and 400 unlabeled scans of LUNA16 (the paper's Table 3c: CPM 0.852).
#
# Train: python tools/train.py configs/focalmix/retina3d_fpn_luna16_100l-400u_no-mixup.py --amp
# Data, test, time and memory: as retina3d_fpn_luna16.py says. Not trained yet.
_base_ = './retina3d_fpn_luna16_100l-400u.py'
model = dict(image_mixup=None, object_mixup=None)
