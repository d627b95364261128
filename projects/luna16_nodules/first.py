# Real nodules in cubes and the background of a whole scan: the first 8,000 steps of the detector
# `luna16-nodules`. Twice as wide as the small detector, 0.73 M parameters; 0.4 s a
# step on a CPU core, an hour. Run by train.sh.
_base_ = 'mmdet3d_medical::retina3d/retina3d_fpn_nodules.py'
max_iters = 8000

model = dict(
    backbone=dict(base_channels=16),
    neck=dict(in_channels=[16, 32, 64], out_channels=32),
    bbox_head=dict(in_channels=32, feat_channels=32, stacked_convs=2),
    test_cfg=dict(tile_size=96, tile_overlap=32, tile_batch=2, lung_margin=3),
)

# LIDC-IDRI-0002: no nodule of LUNA16's, 53 excluded findings in its lungs.
background = ['1.3.6.1.4.1.14519.5.2.1.6279.6001.619372068417051974713149104919']
pipeline = _base_.train_pipeline
cubes = dict(
    type='LUNA16Dataset',
    data_root='data/nodules/',
    split='splits/draw0/train.txt',
    pipeline=pipeline,
    seed=0,
)
scan = dict(
    type='LUNA16Dataset',
    data_root='data/luna16_scans/',
    split=background,
    pipeline=pipeline,
    seed=1,
)
train_dataloader = dict(
    sampler=dict(
        _delete_=True, type='MultiSourceDrawSampler', batch_size=8, source_ratio=[3, 1], seed=0
    ),
    dataset=dict(_delete_=True, type='MultiSourceDataset', datasets=[cubes, scan]),
)
test_dataloader = dict(dataset=dict(split='splits/draw0/validation.txt'))
val_dataloader = test_dataloader

param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=100, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
