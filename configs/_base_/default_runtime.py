default_scope = 'mmdet3d_medical'
custom_imports = dict(imports=['mmdet3d_medical'])

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='WholeCheckpointHook', by_epoch=False, interval=1000, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    non_finite_loss=dict(type='NonFiniteLossHook'),
    check_classes=dict(type='CheckClassesHook'),
    plain_meta=dict(type='PlainMetaHook'),
)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
# Add dict(type='TensorboardVisBackend') for TensorBoard (pip install tensorboard).
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
log_level = 'INFO'
load_from = None
resume = False
