# LUNA16 at the scans' own spacing, in slabs of 8 slices of 512 x 512. The lungs lie anywhere in a
# slab, where S4ND shifts by 32 pixels.
_base_ = './luna16.py'
data_root = 'data/luna16_native/'
patch_size = (8, 512, 512)

train_pipeline = [
    dict(type='LoadVolume'),
    dict(type='RandomCrop3D', size=patch_size, lesion_prob=0.7),
    dict(type='RandomFlip3D'),
    dict(type='RandomHUShiftScale'),
    dict(type='RandomGaussianNoise'),
    dict(type='PackVolumeInputs'),
]
train_dataloader = dict(batch_size=4, dataset=dict(data_root=data_root, pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = test_dataloader
