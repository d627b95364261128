# LUNA16 as DeepLung crops and augments it: 96^3, scale 0.75 to 1.25, mirrored in y and x. Beyond a
# scan is 0 HU. How many patches are in a batch is not known to us.
_base_ = './luna16.py'
patch_size = (96, 96, 96)

train_pipeline = [
    dict(type='LoadVolume'),
    dict(
        type='RandomResizedCrop3D',
        size=patch_size,
        scale_range=(0.75, 1.25),
        lesion_prob=0.7,
        pad_value=0,
    ),
    dict(type='RandomFlip3D', axes=(1, 2)),
    dict(type='PackVolumeInputs'),
]
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
