# The same detector, small, on synthetic chest CTs at 2 mm.
#
# Data:  python tools/dataset_converters/make_phantom.py data/phantom/raw --scans 160
#        python tools/dataset_converters/luna16.py data/phantom/raw --out data/phantom \
#            --spacing 2 2 2 --crop lungs
# Train: python tools/train.py configs/retina3d/retina3d_fpn_phantom.py
# Test:  python tools/test.py configs/retina3d/retina3d_fpn_phantom.py CHECKPOINT --out marks.csv
# Expected: 0.17 M parameters; 0.2 s a step on one CPU core and 0.5 GB, 4 to 7 minutes. CPM with 10
# labeled scans: projects/benchmark/phantoms.
_base_ = [
    '../_base_/models/retina3d_r18_fpn_small.py',
    '../_base_/datasets/phantom.py',
    '../_base_/schedules/phantom.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(interval=500))
