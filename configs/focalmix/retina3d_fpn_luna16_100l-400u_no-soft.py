# The focal loss without soft alpha and soft beta (the paper's Table 3a: it fails), 100 labeled and
# 400 unlabeled scans of LUNA16. The paper does not say what stands in for soft terms: here the
# target rounded at 0.5; 'linear' for both switches is the mix of two hard losses. No MixUp, as its
# number for the whole loss, 0.852, is that without MixUp.
#
# Train: python tools/train.py configs/focalmix/retina3d_fpn_luna16_100l-400u_no-soft.py --amp
# Data, test, time and memory: as retina3d_fpn_luna16.py says. Not trained yet.
_base_ = './retina3d_fpn_luna16_100l-400u_no-mixup.py'
loss = dict(soft_alpha='threshold', soft_beta='threshold')
model = dict(detector=dict(bbox_head=dict(loss_cls=loss)))
