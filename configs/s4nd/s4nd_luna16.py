# S4ND on LUNA16.
#
# Data:  python tools/dataset_converters/luna16.py LUNA16_DIR --out data/luna16_native \
#            --spacing native --crop lungs
#        python tools/dataset_converters/make_splits.py data/luna16_native/index.json
# Train: python tools/train.py configs/s4nd/s4nd_luna16.py --amp
# Test:  python tools/test.py configs/s4nd/s4nd_luna16.py CHECKPOINT --out marks.csv
# Expected: 4,443,303 parameters; 902 GFLOP forward for a patch, and 36 GB of activations kept in a
# step of 4 in float32, counted. Not trained yet: that needs LUNA16 and a GPU. Published CPM over
# ten folds: 0.897.
_base_ = [
    '../_base_/models/s4nd.py',
    '../_base_/datasets/luna16_s4nd.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
