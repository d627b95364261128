# The same detector, small, on synthetic chest CTs at 2 mm.
#
# Data:  as configs/retina3d/retina3d_fpn_phantom.py says
# Train: python tools/train.py configs/fcos3d/fcos3d_fpn_phantom.py
# Test:  python tools/test.py configs/fcos3d/fcos3d_fpn_phantom.py CHECKPOINT --out marks.csv
# Expected: 0.17 M parameters. CPM: docs/systems.md.
_base_ = [
    '../_base_/models/fcos3d_r18_fpn_small.py',
    '../_base_/datasets/phantom.py',
    '../_base_/schedules/phantom.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(interval=500))
