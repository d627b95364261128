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
# Estimated (docs/focalmix.md, "Cost"): 5.5 TFLOP, 8.7 GB and 0.17 s a step of 8 patches on an A100
# (--amp), 1.9 hours for 40,000 steps if loading keeps up. 17.9 M parameters. Not trained yet: that
# needs LUNA16, a GPU and the weights.
_base_ = './retina3d_r50_fpn_luna16.py'

model = dict(backbone=dict(stem_kernel=7, stem_pool=True, strides=(1, 2, 2)))
