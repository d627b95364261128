# Hard pseudo-labels in the place of FocalMix: 100 labeled and 400 unlabeled scans of LUNA16.
#
# Train: python tools/train.py configs/focalmix/retina3d_fpn_luna16_100l-400u_pseudo-labels.py --amp
# Data, test and memory: as retina3d_fpn_luna16.py says; a step takes 0.7 times as long (estimated).
# Not trained yet.
_base_ = ['./retina3d_fpn_luna16_100l-400u.py', '../_base_/baselines/pseudo_labels.py']
model = _base_.baseline
