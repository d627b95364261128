# AdamW that decays kernels alone, linear warm-up, cosine to zero. `--cfg-options
# train_cfg.max_iters=N` scales the schedule too; a config that trains for another time states its
# own max_iters and param_scheduler.
max_iters = 40000

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='DecayWeightsOnly',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-2),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=500),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=500, end=max_iters),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
