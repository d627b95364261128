# DeepLung's detector with its dual path network on LUNA16.
#
# Data:  python tools/dataset_converters/luna16.py LUNA16_DIR --out data/luna16_deeplung \
#            --spacing 1 1 1 --crop lungs --outside-lungs 0
#        python tools/dataset_converters/make_splits.py data/luna16_deeplung/index.json
# Train: python tools/train.py configs/deeplung/deeplung_dpn26_luna16.py --amp
# Test:  python tools/test.py configs/deeplung/deeplung_dpn26_luna16.py CHECKPOINT --out marks.csv
# Expected: 1,360,431 parameters; 24 GFLOP forward for a patch, and 12.9 GB of activations kept in a
# step of 16 in float32, counted. Not trained yet: that needs LUNA16 and a GPU. Published CPM over
# ten folds: 0.842.
_base_ = [
    '../_base_/models/deeplung_dpn26.py',
    '../_base_/datasets/luna16_deeplung.py',
    '../_base_/schedules/sgd.py',
    '../_base_/default_runtime.py',
]
