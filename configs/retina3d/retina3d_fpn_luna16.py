# The base model of FocalMix (CVPR 2020) as far as the paper states it, trained on LUNA16.
#
# Data:  python tools/dataset_converters/luna16.py LUNA16_DIR --out data/luna16 \
#            --spacing 1 1 1 --crop lungs
#        python tools/dataset_converters/make_splits.py data/luna16/index.json
# Train: python tools/train.py configs/retina3d/retina3d_fpn_luna16.py --amp
# Test:  python tools/test.py configs/retina3d/retina3d_fpn_luna16.py CHECKPOINT --out marks.csv
# Estimated (docs/focalmix.md, "Cost"): 2.6 TFLOP, 4.0 GB and 0.07 s a step of 8 patches on an A100
# (--amp), 0.8 hours for 40,000 steps if loading keeps up. 2.9 M parameters. Not trained yet: that
# needs LUNA16 and a GPU. The paper reports CPM 0.892 for its base model on the same 533/355 split.
_base_ = [
    '../_base_/models/retina3d_r18_fpn.py',
    '../_base_/datasets/luna16.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
