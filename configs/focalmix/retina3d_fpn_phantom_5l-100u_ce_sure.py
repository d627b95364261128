# FocalMix on phantoms with confident pseudo-labels, cross entropy and stronger MixUp of patches:
# 5 labeled and 100 unlabeled scans.
#
# Start: as retina3d_fpn_phantom_5l-0u_ce.py says, and that itself.
# Train: python tools/self_train.py configs/focalmix/retina3d_fpn_phantom_5l-100u_ce_sure.py \
#            work_dirs/retina3d_fpn_phantom_5l-0u_ce/iter_1500.pth --rounds 2
# Data: see README.md; test, time and memory: retina3d_fpn_phantom.py.
# CPM 0.512 after one round, supervised 0.502; not resolved (projects/benchmark/phantoms, Baseline).
# With 8 labeled and 4 unlabeled patches in a step 0.526, +0.023 (0.001 to 0.046), and from 3,000
# supervised steps more 0.552, supervised 0.538, +0.014 (-0.000 to 0.029): --cfg-options
# train_dataloader.batch_size=12 train_dataloader.sampler.batch_size=12
# train_dataloader.sampler.source_ratio=[2,1]
_base_ = ['./retina3d_fpn_phantom_5l-100u_sure.py', '../_base_/baselines/cross_entropy.py']
model = dict(_base_.cross_entropy, ignore_range=(0.02, 0.9))
