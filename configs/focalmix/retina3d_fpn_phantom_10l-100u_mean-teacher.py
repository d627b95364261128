# Mean Teacher in the place of FocalMix: 10 labeled and 100 unlabeled phantoms.
#
# Train: python tools/train.py configs/focalmix/retina3d_fpn_phantom_10l-100u_mean-teacher.py
# Data: see README.md; test, time and memory: retina3d_fpn_phantom.py.
# Scores with 5 labels: projects/benchmark/phantoms, Table 4.
_base_ = ['./retina3d_fpn_phantom_10l-100u.py', '../_base_/baselines/mean_teacher.py']
model = dict(_base_.baseline, teacher=dict(momentum=0.01))  # few steps
custom_hooks = [dict(_base_.custom_hooks[0], rampup='sigmoid')]
