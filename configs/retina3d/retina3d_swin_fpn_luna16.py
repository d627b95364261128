# The base model with a backbone of MONAI on LUNA16: the encoder of SwinUNETR.
#
# Needs: pip install monai einops
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/retina3d/retina3d_swin_fpn_luna16.py --amp
# Test:  python tools/test.py configs/retina3d/retina3d_swin_fpn_luna16.py CHECKPOINT \
#            --out marks.csv
# Estimated (docs/focalmix.md, "Cost"): 1.8 TFLOP, 26 GB and 0.67 s a step of 2 patches on an A100
# (--amp), 7.5 hours for 40,000 steps if loading keeps up. 2.9 M parameters. Not trained yet: that
# needs LUNA16 and a GPU.
_base_ = [
    '../_base_/models/retina3d_swin_fpn.py',
    '../_base_/datasets/luna16.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
# Attention within windows of 7^3 keeps 343 numbers for each token and head: 2 patches, not 8.
train_dataloader = dict(batch_size=2)
