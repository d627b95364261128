# The base model with another backbone on LUNA16: the plain encoder of nnU-Net, at full resolution
# in its first stage.
#
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/retina3d/retina3d_plainconv_fpn_luna16.py --amp
# Test:  python tools/test.py configs/retina3d/retina3d_plainconv_fpn_luna16.py CHECKPOINT \
#            --out marks.csv
# Estimated (docs/focalmix.md, "Cost"): 2.9 TFLOP, 5.8 GB and 0.14 s a step of 8 patches on an A100
# (--amp), 1.5 hours for 40,000 steps if loading keeps up. 1.7 M parameters. Not trained yet: that
# needs LUNA16 and a GPU.
_base_ = [
    '../_base_/models/retina3d_plainconv_fpn.py',
    '../_base_/datasets/luna16.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
