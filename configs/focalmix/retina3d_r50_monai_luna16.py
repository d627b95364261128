# FocalMix around the RetinaNet of MONAI's bundle on LUNA16: 25 labeled and 400 unlabeled scans, 2 +
# 2 patches.
#
# Data:  as configs/retina3d/retina3d_r50_monai_luna16.py says, with --labeled 25 --unlabeled 400
#        for make_splits.py
# Train: python tools/train.py configs/focalmix/retina3d_r50_monai_luna16.py --amp
# Test:  python tools/test.py configs/focalmix/retina3d_r50_monai_luna16.py CHECKPOINT \
#            --out marks.csv
# Estimated (docs/focalmix.md, "Cost"): 53 TFLOP, 12.1 GB and 0.85 s a step of 2 + 2 patches on an
# A100 (--amp), 38 hours for MONAI's 160,000 steps if loading keeps up; 7.6 GB with --cfg-options
# model.detector.recompute_activations=True. Not trained yet: that needs LUNA16 and a GPU. The
# bundle's weights do not fit these anchors.
_base_ = [
    '../retina3d/retina3d_r50_monai_luna16.py',
    '../_base_/semi/luna16.py',
    '../_base_/methods/focalmix.py',
]
from mmdet3d_medical.apis.semi import semi_supervised

model, train_dataloader, custom_hooks = semi_supervised(_base_, patches=(2, 2))
