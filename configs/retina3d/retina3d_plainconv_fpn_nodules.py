# The small detector on real nodules with the encoder of nnU-Net; projects/benchmark/nodules.
#
# Data:  as configs/retina3d/retina3d_fpn_nodules.py says
# Train: python tools/train.py configs/retina3d/retina3d_plainconv_fpn_nodules.py
# Test:  python tools/test.py configs/retina3d/retina3d_plainconv_fpn_nodules.py CHECKPOINT \
#            --out marks.csv
# 0.10 M parameters.
_base_ = [
    '../_base_/models/retina3d_plainconv_fpn_small.py',
    '../_base_/datasets/nodules.py',
    '../_base_/schedules/phantom.py',
    '../_base_/default_runtime.py',
]
model = dict(
    bbox_head=dict(anchor_generator=dict(sizes=[[4, 6], [9, 13], [19, 27]])),  # mm
    test_cfg=dict(tile_size=96, tile_overlap=32),
)
default_hooks = dict(checkpoint=dict(interval=500))
