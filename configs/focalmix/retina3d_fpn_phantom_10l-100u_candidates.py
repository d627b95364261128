# FocalMix on phantoms, half of the unlabeled patches cut around the model's candidates in larger
# ones: 10 labeled and 100 unlabeled scans.
#
# Train: python tools/train.py configs/focalmix/retina3d_fpn_phantom_10l-100u_candidates.py
# Data: see README.md; test: retina3d_fpn_phantom.py. Not trained yet.
_base_ = './retina3d_fpn_phantom_10l-100u.py'
large_pipeline = [
    _base_.unlabeled_pipeline[0],
    dict(_base_.unlabeled_pipeline[1], size=(64, 64, 64)),
    *_base_.unlabeled_pipeline[2:],
]
train_dataloader = dict(dataset=dict(datasets=dict(unlabeled=dict(pipeline=large_pipeline))))
model = dict(
    unlabeled_crop=dict(type='CandidateCrop', size=_base_.patch_size, prob=0.5, per_forward=4)
)
