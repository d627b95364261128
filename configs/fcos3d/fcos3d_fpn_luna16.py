# An anchor-free detector on LUNA16: no anchor sizes to choose.
#
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/fcos3d/fcos3d_fpn_luna16.py --amp
# Test:  python tools/test.py configs/fcos3d/fcos3d_fpn_luna16.py CHECKPOINT --out marks.csv
# Estimated (docs/focalmix.md, "Cost"): 2.6 TFLOP, 3.9 GB and 0.07 s a step of 8 patches on an A100
# (--amp), 0.8 hours for 40,000 steps if loading keeps up. 2.9 M parameters. Not trained yet: that
# needs LUNA16 and a GPU.
_base_ = [
    '../_base_/models/fcos3d_r18_fpn.py',
    '../_base_/datasets/luna16.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
