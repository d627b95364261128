# FocalMix on synthetic chest CTs at 2 mm: 10 labeled and 100 unlabeled scans, 4 + 4 patches.
#
# Data:  as configs/retina3d/retina3d_fpn_phantom.py says, then
#        python tools/dataset_converters/make_splits.py data/phantom/index.json \
#            --test-subsets 7 8 9 --labeled 10 --unlabeled 100
# Train: python tools/train.py configs/focalmix/retina3d_fpn_phantom.py
# Test:  python tools/test.py configs/focalmix/retina3d_fpn_phantom.py CHECKPOINT --out marks.csv
# 0.3 to 0.4 s a step on one CPU core and 0.6 GB, 7 to 11 minutes. Scores: projects/benchmark.
_base_ = [
    '../retina3d/retina3d_fpn_phantom.py',
    '../_base_/semi/phantom.py',
    '../_base_/methods/focalmix.py',
]
from mmdet3d_medical.apis.semi import semi_supervised

model, train_dataloader, custom_hooks = semi_supervised(_base_)
