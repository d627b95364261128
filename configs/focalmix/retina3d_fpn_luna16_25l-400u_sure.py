# FocalMix on LUNA16 with confident pseudo-labels of the detector that it starts from, on patches
# around what that found: 25 labeled and 400 unlabeled scans. It helped on phantoms, see
# retina3d_fpn_phantom_5l-100u_sure.py, and is not from the paper.
#
# Start: python tools/train.py configs/focalmix/retina3d_fpn_luna16_25l-0u.py --amp
# Train: python tools/self_train.py configs/focalmix/retina3d_fpn_luna16_25l-400u_sure.py \
#            work_dirs/retina3d_fpn_luna16_25l-0u/iter_40000.pth --rounds 2 --amp
# Data, test, time and memory: as retina3d_fpn_luna16.py says. Not trained yet.
_base_ = ['./retina3d_fpn_luna16_25l-400u.py', '../_base_/baselines/confident_pseudo_labels.py']
model = _base_.baseline
candidates_pipeline = [
    _base_.unlabeled_pipeline[0],
    dict(
        type='LoadCandidates',
        marks='work_dirs/retina3d_fpn_luna16_25l-0u/candidates.csv',
        score_thr=0.5,
    ),
    dict(_base_.unlabeled_pipeline[1], lesion_prob=0.7),
    *_base_.unlabeled_pipeline[2:],
]
train_dataloader = dict(dataset=dict(datasets=dict(unlabeled=dict(pipeline=candidates_pipeline))))
