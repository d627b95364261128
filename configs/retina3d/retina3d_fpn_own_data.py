# The detector of retina3d_fpn_luna16.py on data of your own, at 1 mm; docs/tutorials/own_data.md
# goes through it. A config for other data is two lines:
#   _base_ = 'mmdet3d_medical::retina3d/retina3d_fpn_own_data.py'
#   data_root = 'data/mine/'
#
# Data:  python tools/dataset_converters/volumes.py SCANS --annotations CSV_OR_MASKS \
#            --out data/mine --spacing 1 1 1
#        python tools/dataset_converters/make_splits.py data/mine/index.json
# Train: python tools/train.py configs/retina3d/retina3d_fpn_own_data.py --amp
# Test:  python tools/test.py configs/retina3d/retina3d_fpn_own_data.py CHECKPOINT --out marks.csv
# 2.9 M parameters. Several classes: model = dict(bbox_head=dict(num_classes=N)). Less time:
# --cfg-options train_cfg.max_iters=N, which fits the learning rate too.
_base_ = [
    '../_base_/models/retina3d_r18_fpn.py',
    '../_base_/datasets/own_data.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
