# retina3d_r50_fpn_luna16.py with the stem and the strides of a ResNet-50 in 2D, to start from
# weights trained on photographs, inflated to 3D.
#
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Weights: python tools/model_converters/inflate_2d.py \
#            configs/retina3d/retina3d_r50_inflated_luna16.py resnet50.pth resnet50_3d.pth
# Train: python tools/train.py configs/retina3d/retina3d_r50_inflated_luna16.py --amp \
#            --cfg-options load_from=resnet50_3d.pth
# Test:  python tools/test.py configs/retina3d/retina3d_r50_inflated_luna16.py CHECKPOINT \
#            --out marks.csv
# COST
_base_ = './retina3d_r50_fpn_luna16.py'

model = dict(backbone=dict(stem_kernel=7, stem_pool=True, strides=(1, 2, 2)))
