# The base model with a backbone of MONAI on LUNA16: DenseNet-121.
#
# Needs: pip install monai
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/retina3d/retina3d_densenet121_fpn_luna16.py --amp
# Test:  python tools/test.py configs/retina3d/retina3d_densenet121_fpn_luna16.py CHECKPOINT \
#            --out marks.csv
# Estimated (docs/focalmix.md, "Cost"): 5.9 TFLOP, 10.5 GB and 0.20 s a step of 8 patches on an A100
# (--amp), 2.2 hours for 40,000 steps if loading keeps up. 8.3 M parameters. Not trained yet: that
# needs LUNA16 and a GPU.
_base_ = [
    '../_base_/models/retina3d_densenet121_fpn.py',
    '../_base_/datasets/luna16.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
