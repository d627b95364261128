# Real nodules of LUNA16 in cubes of 50 mm at 1 mm, of projects/benchmark/nodules. Patches lie
# anywhere around a nodule: each cube has one in its middle, which must not be learned.
_base_ = './phantom.py'
data_root = 'data/nodules/'
patch_size = (32, 32, 32)

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
train_dataloader = dict(
    dataset=dict(
        data_root=data_root, subsets=None, split='splits/train.txt', pipeline=train_pipeline
    )
)
test_dataloader = dict(
    dataset=dict(data_root=data_root, subsets=None, split='splits/validation.txt')
)
val_dataloader = test_dataloader
