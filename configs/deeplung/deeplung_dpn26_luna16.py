# DeepLung's detector with its dual path network on LUNA16.
#
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/deeplung/deeplung_dpn26_luna16.py --amp
# Test:  python tools/test.py configs/deeplung/deeplung_dpn26_luna16.py CHECKPOINT --out marks.csv
# Expected: 1,360,431 parameters. Not trained yet: that needs LUNA16 and a GPU. Published CPM over
# ten folds: 0.842.
_base_ = [
    '../_base_/models/deeplung_dpn26.py',
    '../_base_/datasets/luna16_deeplung.py',
    '../_base_/schedules/sgd.py',
    '../_base_/default_runtime.py',
]
