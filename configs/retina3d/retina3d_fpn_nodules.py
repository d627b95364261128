# The small detector on real nodules of LUNA16 in cubes of 50 mm; projects/benchmark/nodules.
#
# Data:  python projects/benchmark/make_benchmark.py projects/benchmark/nodules/data.yml \
#            --source DIR
# Train: python tools/train.py configs/retina3d/retina3d_fpn_nodules.py
# Test:  python tools/test.py configs/retina3d/retina3d_fpn_nodules.py CHECKPOINT --out marks.csv
# 0.17 M parameters; 0.2 s a step on one CPU core, 5 minutes.
_base_ = [
    '../_base_/models/retina3d_r18_fpn_small.py',
    '../_base_/datasets/nodules.py',
    '../_base_/schedules/phantom.py',
    '../_base_/default_runtime.py',
]
model = dict(
    bbox_head=dict(anchor_generator=dict(sizes=[[4, 6], [9, 13], [19, 27]])),  # mm
    test_cfg=dict(tile_size=96, tile_overlap=32),
)
default_hooks = dict(checkpoint=dict(interval=500))
