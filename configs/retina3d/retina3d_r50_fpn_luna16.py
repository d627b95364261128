# The base model with a deeper backbone on LUNA16: ResNet3D-50.
#
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/retina3d/retina3d_r50_fpn_luna16.py --amp
# Test:  python tools/test.py configs/retina3d/retina3d_r50_fpn_luna16.py CHECKPOINT \
#            --out marks.csv
# Expected: 17.9 M parameters; 220 GFLOP forward for a patch, and 13.6 GB of activations kept in a
# step of 8 in float32, counted. Not trained yet: that needs LUNA16 and a GPU.
_base_ = [
    '../_base_/models/retina3d_r50_fpn.py',
    '../_base_/datasets/luna16.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
