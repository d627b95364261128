# LUNA16 as DeepLung prepares, crops and augments it: lungs cut out, 96^3, scale 0.75 to 1.25,
# mirrored in y and x. Outside is 0 HU. How many patches are in a batch is a choice.
# --outside-lungs 0 of tools/dataset_converters/luna16.py cuts the lungs out.
_base_ = './luna16.py'
data_root = 'data/luna16_deeplung/'
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
train_dataloader = dict(batch_size=16, dataset=dict(data_root=data_root, pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = test_dataloader
