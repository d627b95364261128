# LUNA16 at 1 mm, cut to the lungs; 533 training and 355 test scans by subsets. The lists in
# splits/ come from tools/dataset_converters/make_splits.py.
data_root = 'data/luna16/'
patch_size = (160, 160, 160)

train_pipeline = [
    dict(type='LoadVolume'),
    dict(type='RandomResizedCrop3D', size=patch_size, scale_range=(0.85, 1.2), lesion_prob=0.7),
    dict(type='RandomFlip3D'),
    dict(type='RandomPermuteAxes'),
    dict(type='RandomHUShiftScale'),
    dict(type='RandomSharpness'),
    dict(type='RandomGaussianNoise'),
    dict(type='PackVolumeInputs'),
]
test_pipeline = [dict(type='LoadVolume'), dict(type='PackVolumeInputs', meta_keys=('instances',))]

train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='InfiniteDrawSampler', seed=0),
    dataset=dict(
        type='LUNA16Dataset',
        data_root=data_root,
        split='splits/train.txt',
        pipeline=train_pipeline,
        seed=0,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='LUNA16Dataset',
        data_root=data_root,
        split='splits/test.txt',
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
val_dataloader = test_dataloader
test_evaluator = dict(type='FROCMetric', bootstraps=1000)
val_evaluator = dict(type='FROCMetric')
