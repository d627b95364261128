# FocalMix on synthetic chest CTs at 2 mm: 10 labeled and 100 unlabeled scans, 4 + 4 patches.
#
# Data:  as configs/retina3d/retina3d_fpn_phantom.py says, then
#        python tools/dataset_converters/make_splits.py data/phantom/index.json \
#            --test-subsets 7 8 9 --labeled 10 --unlabeled 100
# Train: python tools/train.py configs/focalmix/retina3d_fpn_phantom.py
# Test:  python tools/test.py configs/focalmix/retina3d_fpn_phantom.py CHECKPOINT --out marks.csv
# 0.4 s a step on one CPU core and 0.6 GB, 11 minutes. Scores: projects/benchmark/phantoms.
_base_ = [
    '../_base_/models/retina3d_r18_fpn_small.py',
    '../_base_/datasets/phantom_semi.py',
    '../_base_/schedules/phantom.py',
    '../_base_/default_runtime.py',
]
model = dict(
    _delete_=True,
    type='FocalMixDetector',
    detector=_base_.model,
    views=dict(num=4),
    temperature=0.7,
    image_mixup=dict(type='ImageMixUp', eta=0.2),
    object_mixup=dict(type='ObjectMixUp', eta=0.2),
)
custom_hooks = [dict(type='SemiSupervisedHook', rampup_iters=600)]
default_hooks = dict(checkpoint=dict(interval=500))
