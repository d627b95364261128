# Plain supervised training on phantoms: 5 labeled scans, no unlabeled ones, no MixUp.
#
# Train: python tools/train.py configs/focalmix/retina3d_fpn_phantom_5l-0u.py
# Data: see README.md; test, time and memory: ../retina3d/retina3d_fpn_phantom.py.
# Scores: projects/benchmark/phantoms.
_base_ = '../retina3d/retina3d_fpn_phantom.py'
train_dataloader = dict(dataset=dict(split='splits/labeled_5.txt'))
