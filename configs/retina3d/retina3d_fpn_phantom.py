# The same detector, small, on synthetic chest CTs at 2 mm.
#
# Data:  python tools/dataset_converters/make_phantom.py data/phantom/raw --scans 160
#        python tools/dataset_converters/luna16.py data/phantom/raw --out data/phantom \
#            --spacing 2 2 2 --crop lungs
# Train: python tools/train.py configs/retina3d/retina3d_fpn_phantom.py
# Test:  python tools/test.py configs/retina3d/retina3d_fpn_phantom.py CHECKPOINT --out marks.csv
_base_ = [
    '../_base_/models/retina3d_r18_fpn.py',
    '../_base_/datasets/phantom.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
max_stride = 8
max_iters = 1800

model = dict(
    data_preprocessor=dict(pad_size_divisor=max_stride),
    backbone=dict(base_channels=16, strides=(1, 2, 2)),
    neck=dict(in_channels=[16, 32, 64], out_channels=32),
    bbox_head=dict(
        in_channels=32,
        feat_channels=32,
        stacked_convs=1,
        # Voxels of 2 mm: 5 to 28 mm.
        anchor_generator=dict(strides=[2, 4, max_stride], sizes=[[2.5, 4], [5, 7], [10, 14]]),
    ),
    test_cfg=dict(tile_size=128, tile_overlap=32),
)
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=100, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=600))
