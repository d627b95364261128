# 3D FPN with dense lateral connections on LUNA16.
#
# Data:  as configs/retina3d/retina3d_fpn_luna16.py says
# Train: python tools/train.py configs/fpn3d/fpn3d_luna16.py --amp
# Test:  python tools/test.py configs/fpn3d/fpn3d_luna16.py CHECKPOINT --out marks.csv
# Expected: 2.9 M parameters; time and memory as of configs/retina3d/retina3d_fpn_luna16.py. Not
# trained yet: that needs LUNA16 and a GPU. Published CPM without the second stage: 0.919. Scans are
# tested whole; in tiles, to save memory, with model.test_cfg.tile_size=192.
_base_ = [
    '../_base_/models/fpn3d_r18.py',
    '../_base_/datasets/luna16.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
