# LUNA16 at the voxels of MONAI's bundle, 0.703 x 0.703 x 1.25 mm, whole, in patches of 80 slices of
# 192 x 192. Of its augmentation: size, mirroring and quarter turns in the slice (as exchanges of y
# and x), noise, intensity; not its rotations by any angle.
_base_ = './luna16.py'
data_root = 'data/luna16_monai/'
patch_size = (80, 192, 192)

train_pipeline = [
    dict(type='LoadVolume'),
    dict(type='RandomResizedCrop3D', size=patch_size, scale_range=(0.7, 1.4), lesion_prob=0.5),
    dict(type='RandomFlip3D'),
    dict(type='RandomPermuteAxes', axes=(1, 2)),
    dict(type='RandomHUShiftScale'),
    dict(type='RandomGaussianNoise'),
    dict(type='PackVolumeInputs'),
]
train_dataloader = dict(batch_size=4, dataset=dict(data_root=data_root, pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = test_dataloader
