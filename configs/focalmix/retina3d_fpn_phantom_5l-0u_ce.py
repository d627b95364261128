# Supervised training on phantoms with cross entropy and stronger MixUp of patches: 5 labeled scans,
# no unlabeled ones.
#
# Start: python tools/train.py configs/focalmix/retina3d_fpn_phantom_5l-0u.py
# Train: python tools/train.py configs/focalmix/retina3d_fpn_phantom_5l-0u_ce.py \
#            --cfg-options load_from=work_dirs/retina3d_fpn_phantom_5l-0u/iter_1500.pth
# Data: see README.md; test, time and memory: ../retina3d/retina3d_fpn_phantom.py.
# CPM 0.491, with the focal loss and no MixUp 0.438 (projects/benchmark/phantoms, Baseline).
_base_ = ['./retina3d_fpn_phantom_mixup-only.py', '../_base_/baselines/cross_entropy.py']
model = _base_.cross_entropy
train_dataloader = dict(dataset=dict(split='splits/labeled_5.txt'))
