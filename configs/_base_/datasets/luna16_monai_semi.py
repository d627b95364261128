# luna16_monai.py with labeled and unlabeled scans, 2 + 2 patches in a batch.
_base_ = './luna16_semi.py'
data_root = 'data/luna16_monai/'
patch_size = (80, 192, 192)
batch_size = 4

crop = dict(type='RandomResizedCrop3D', size=patch_size, scale_range=(0.7, 1.4), lesion_prob=0.5)
augment = [
    dict(type='RandomFlip3D'),
    dict(type='RandomPermuteAxes', axes=(1, 2)),
    dict(type='RandomHUShiftScale'),
    dict(type='RandomGaussianNoise'),
]
labeled_pipeline = [
    dict(type='LoadVolume'), crop, *augment, _base_.labeled_pipeline[-1],
]  # fmt: skip
unlabeled_pipeline = [
    dict(type='LoadVolume'), dict(crop, lesion_prob=0.0), *augment, _base_.unlabeled_pipeline[-1],
]  # fmt: skip
train_dataloader = dict(
    batch_size=batch_size,
    sampler=dict(batch_size=batch_size),
    dataset=dict(
        datasets=dict(
            labeled=dict(data_root=data_root, pipeline=labeled_pipeline),
            unlabeled=dict(data_root=data_root, pipeline=unlabeled_pipeline),
        ),
    ),
)
test_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = test_dataloader
