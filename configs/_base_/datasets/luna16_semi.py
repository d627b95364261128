# LUNA16 with labeled and unlabeled scans, 8 + 8 patches in a batch as in the FocalMix paper.
# Another number of scans is another list (tools/dataset_converters/make_splits.py writes them):
#   train_dataloader = dict(dataset=dict(datasets=dict(
#       labeled=dict(split='splits/labeled_50.txt'),
#       unlabeled=dict(split='splits/unlabeled_100.txt'))))
# Scans of another index, with or without annotations, come in by a data_root of their own.
_base_ = './luna16.py'
batch_size = 16

# Unlabeled patches lie anywhere: aiming at lesions would use their annotations. Where there are
# some, they go along for diagnostics only.
labeled_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type='mmdet.MultiBranch', branch_field=['sup', 'unsup'], sup=_base_.train_pipeline[-1]),
]
unlabeled_pipeline = [
    _base_.train_pipeline[0],
    dict(_base_.train_pipeline[1], lesion_prob=0.0),
    *_base_.train_pipeline[2:-1],
    dict(type='mmdet.MultiBranch', branch_field=['sup', 'unsup'], unsup=_base_.train_pipeline[-1]),
]
train_dataloader = dict(
    batch_size=batch_size,
    sampler=dict(
        _delete_=True,
        type='MultiSourceDrawSampler',
        batch_size=batch_size,
        source_ratio=[1, 1],
        seed=0,
    ),
    dataset=dict(
        _delete_=True,
        type='MultiSourceDataset',
        datasets=dict(
            labeled=dict(
                _base_.train_dataloader.dataset,
                split='splits/labeled_25.txt',
                pipeline=labeled_pipeline,
            ),
            unlabeled=dict(
                _base_.train_dataloader.dataset,
                split='splits/unlabeled_400.txt',
                pipeline=unlabeled_pipeline,
            ),
        ),
    ),
)
