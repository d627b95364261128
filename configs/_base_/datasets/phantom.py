# Phantom scans at 2 mm, cut to the lungs: subsets 0 to 6 for training, 7 to 9 for testing.
data_root = 'data/phantom/'
patch_size = (32, 32, 32)

train_pipeline = [
    dict(type='LoadVolume'),
    dict(type='RandomCrop3D', size=patch_size, lesion_prob=0.7),
    dict(type='RandomFlip3D'),
    dict(type='RandomPermuteAxes'),
    # As far as the scanners of phantoms differ, which is further than real ones do.
    dict(type='RandomHUShiftScale', shift_range=(-100, 100), scale_range=(0.8, 1.25), prob=0.8),
    dict(type='RandomGaussianNoise'),
    dict(type='PackVolumeInputs'),
]
test_pipeline = [dict(type='LoadVolume'), dict(type='PackVolumeInputs', meta_keys=('instances',))]

train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='InfiniteDrawSampler', seed=0),
    dataset=dict(
        type='LUNA16Dataset',
        data_root=data_root,
        subsets=[0, 1, 2, 3, 4, 5, 6],
        pipeline=train_pipeline,
        seed=0,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='LUNA16Dataset',
        data_root=data_root,
        subsets=[7, 8, 9],
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
val_dataloader = test_dataloader
test_evaluator = dict(type='FROCMetric', bootstraps=1000)
val_evaluator = dict(type='FROCMetric')
