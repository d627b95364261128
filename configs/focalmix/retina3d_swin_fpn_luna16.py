# FocalMix around the base model with a backbone of MONAI, the encoder of SwinUNETR, on LUNA16: 25
# labeled and 400 unlabeled scans.
#
# Needs: pip install monai einops
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/focalmix/retina3d_swin_fpn_luna16.py --amp
# Test:  python tools/test.py configs/focalmix/retina3d_swin_fpn_luna16.py CHECKPOINT \
#            --out marks.csv
# Estimated (docs/focalmix.md, "Cost"): 2.8 TFLOP, 26 GB and 1.31 s a step of 1 + 1 patches on an
# A100 (--amp), 14.5 hours for 40,000 steps if loading keeps up; about twice that with 2 + 2, as
# many labeled ones as in supervised training. Not trained yet: that needs LUNA16 and a GPU.
_base_ = [
    '../retina3d/retina3d_swin_fpn_luna16.py',
    '../_base_/semi/luna16.py',
    '../_base_/methods/focalmix.py',
]
from mmdet3d_medical.apis.semi import semi_supervised

model, train_dataloader, custom_hooks = semi_supervised(_base_, patches=(1, 1))
