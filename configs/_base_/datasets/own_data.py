# Any data set that volumes.py or dicom.py converted. A config that takes this base says only where
# the data are, in one place:
#   data_root = 'data/mine/'
# or on the command line: --cfg-options data_root=data/mine/
# The lists come from tools/dataset_converters/make_splits.py data/mine/index.json.
# No folder beside a data set below means this one.
data_root = 'data/mine/'
patch_size = (128, 128, 128)

train_pipeline = [
    dict(type='LoadVolume'),
    dict(type='RandomResizedCrop3D', size=patch_size, scale_range=(0.85, 1.2), lesion_prob=0.7),
    dict(type='RandomFlip3D'),
    dict(type='RandomPermuteAxes', axes=(1, 2)),  # in the slice: slices may be further apart
    dict(type='RandomHUShiftScale'),
    dict(type='RandomGaussianNoise'),
    dict(type='PackVolumeInputs'),
]
test_pipeline = [dict(type='LoadVolume'), dict(type='PackVolumeInputs', meta_keys=('instances',))]

train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteDrawSampler', seed=0),
    dataset=dict(
        type='VolumeDetDataset',
        data_root=None,
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
        type='VolumeDetDataset',
        data_root=None,
        split='splits/test.txt',
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
val_dataloader = test_dataloader
test_evaluator = dict(type='FROCMetric', bootstraps=1000)
val_evaluator = dict(type='FROCMetric')
