# The same detector, small, on synthetic chest CTs at 2 mm.
#
# Needs: pip install monai
# Data:  as configs/retina3d/retina3d_fpn_phantom.py says
# Train: python tools/train.py configs/retina3d/retina3d_seresnet50_fpn_phantom.py
# Test:  python tools/test.py configs/retina3d/retina3d_seresnet50_fpn_phantom.py CHECKPOINT \
#            --out marks.csv
# Expected: 3.1 M parameters. CPM: docs/systems.md.
_base_ = [
    '../_base_/models/retina3d_seresnet50_fpn_small.py',
    '../_base_/datasets/phantom.py',
    '../_base_/schedules/phantom.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(interval=500))
