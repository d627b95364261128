# Phantom scans, 10 of them labeled and 100 unlabeled, 4 + 4 patches in a batch. Lists of other
# lengths are set as in luna16_semi.py.
#
# Lists: python tools/dataset_converters/make_splits.py data/phantom/index.json \
#            --test-subsets 7 8 9 --labeled 10 --unlabeled 100
_base_ = './phantom.py'
batch_size = 8

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
                split='splits/labeled_10.txt',
                pipeline=labeled_pipeline,
            ),
            unlabeled=dict(
                _base_.train_dataloader.dataset,
                split='splits/unlabeled_100.txt',
                pipeline=unlabeled_pipeline,
            ),
        ),
    ),
)
