# The base model with another backbone on LUNA16: the plain encoder of nnU-Net, at full resolution
# in its first stage.
#
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/retina3d/retina3d_plainconv_fpn_luna16.py --amp
# Test:  python tools/test.py configs/retina3d/retina3d_plainconv_fpn_luna16.py CHECKPOINT \
#            --out marks.csv
# Expected: 1.7 M parameters; a step (8 patches) is 2.9 TFLOP and keeps 7.2 GB of activations in
# float32, counted from FLOPs and tensors. Not trained yet: that needs LUNA16 and a GPU.
_base_ = [
    '../_base_/models/retina3d_plainconv_fpn.py',
    '../_base_/datasets/luna16.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
