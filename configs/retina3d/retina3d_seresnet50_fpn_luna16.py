# The base model with a backbone of MONAI on LUNA16: SE-ResNet-50.
#
# Needs: pip install monai
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/retina3d/retina3d_seresnet50_fpn_luna16.py --amp
# Test:  python tools/test.py configs/retina3d/retina3d_seresnet50_fpn_luna16.py CHECKPOINT \
#            --out marks.csv
# COST
_base_ = [
    '../_base_/models/retina3d_seresnet50_fpn.py',
    '../_base_/datasets/luna16.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
