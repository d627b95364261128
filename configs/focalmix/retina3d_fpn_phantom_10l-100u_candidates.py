# FocalMix on phantoms, most unlabeled patches cut around what a supervised detector found: 10
# labeled and 100 unlabeled scans.
#
# Start: python tools/train.py configs/focalmix/retina3d_fpn_phantom_10l-0u.py
# Marks: python tools/test.py configs/focalmix/retina3d_fpn_phantom_10l-0u.py \
#            work_dirs/retina3d_fpn_phantom_10l-0u/iter_1500.pth \
#            --out work_dirs/retina3d_fpn_phantom_10l-0u/candidates.csv --cfg-options \
#            test_dataloader.dataset.split=splits/unlabeled_100.txt \
#            test_dataloader.dataset.subsets=None
# Train: python tools/train.py configs/focalmix/retina3d_fpn_phantom_10l-100u_candidates.py \
#            --cfg-options load_from=work_dirs/retina3d_fpn_phantom_10l-0u/iter_1500.pth
# Data: see README.md; test: retina3d_fpn_phantom.py.
# Scores: projects/benchmark/phantoms.
_base_ = './retina3d_fpn_phantom_10l-100u.py'
candidates_pipeline = [
    _base_.unlabeled_pipeline[0],
    dict(
        type='LoadCandidates',
        marks='work_dirs/retina3d_fpn_phantom_10l-0u/candidates.csv',
        score_thr=0.4,
    ),
    dict(_base_.unlabeled_pipeline[1], lesion_prob=0.7),
    *_base_.unlabeled_pipeline[2:],
]
train_dataloader = dict(dataset=dict(datasets=dict(unlabeled=dict(pipeline=candidates_pipeline))))
