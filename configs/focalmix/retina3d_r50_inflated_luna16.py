# retina3d_r50_fpn_luna16.py of this folder with the stem and the strides of a ResNet-50 in 2D, to
# start from weights trained on photographs, inflated to 3D.
#
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Weights: as configs/retina3d/retina3d_r50_inflated_luna16.py says
# Train: python tools/train.py configs/focalmix/retina3d_r50_inflated_luna16.py --amp \
#            --cfg-options load_from=resnet50_3d.pth
# Test:  python tools/test.py configs/focalmix/retina3d_r50_inflated_luna16.py CHECKPOINT \
#            --out marks.csv
# Not trained yet: that needs LUNA16, a GPU and the weights.
_base_ = [
    '../retina3d/retina3d_r50_inflated_luna16.py',
    '../_base_/semi/luna16.py',
    '../_base_/methods/focalmix.py',
]
from mmdet3d_medical.apis.semi import semi_supervised

model, train_dataloader, custom_hooks = semi_supervised(_base_)
