# The base model with a deeper backbone on LUNA16: ResNeXt3D-101 32x4d.
#
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/retina3d/retina3d_x101-32x4d_fpn_luna16.py --amp
# Test:  python tools/test.py configs/retina3d/retina3d_x101-32x4d_fpn_luna16.py CHECKPOINT \
#            --out marks.csv
# Expected: 32.1 M parameters; 217 GFLOP forward for a patch, and 20.5 GB of activations kept in a
# step of 8 in float32, counted. Not trained yet: that needs LUNA16 and a GPU.
_base_ = [
    '../_base_/models/retina3d_x101-32x4d_fpn.py',
    '../_base_/datasets/luna16.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
