# The focal loss without soft beta (the paper's Table 3a: CPM 0.837), 100 labeled and 400 unlabeled
# scans of LUNA16. The paper does not say what stands in for a soft term: here the target rounded at
# 0.5. No MixUp, as its number for the whole loss, 0.852, is that without MixUp.
#
# Train: python tools/train.py configs/focalmix/retina3d_fpn_luna16_100l-400u_no-soft-beta.py --amp
# Data, test, time and memory: as retina3d_fpn_luna16.py says. Not trained yet.
_base_ = './retina3d_fpn_luna16_100l-400u_no-mixup.py'
model = dict(detector=dict(bbox_head=dict(loss_cls=dict(soft_beta='threshold'))))
