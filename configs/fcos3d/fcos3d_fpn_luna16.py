# An anchor-free detector on LUNA16: no anchor sizes to choose.
#
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/fcos3d/fcos3d_fpn_luna16.py --amp
# Test:  python tools/test.py configs/fcos3d/fcos3d_fpn_luna16.py CHECKPOINT --out marks.csv
# Expected: 2.9 M parameters; time and memory as of configs/retina3d/retina3d_fpn_luna16.py, whose
# network it has. Not trained yet: that needs LUNA16 and a GPU.
_base_ = [
    '../_base_/models/fcos3d_r18_fpn.py',
    '../_base_/datasets/luna16.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
