# Plain supervised training on LUNA16: 25 labeled scans, no unlabeled ones, no MixUp. The paper: CPM
# 0.666.
#
# Train: python tools/train.py configs/focalmix/retina3d_fpn_luna16_25l-0u.py --amp
# Data, test, time and memory: as ../retina3d/retina3d_fpn_luna16.py says. Not trained yet.
_base_ = '../retina3d/retina3d_fpn_luna16.py'
train_dataloader = dict(dataset=dict(split='splits/labeled_25.txt'))
