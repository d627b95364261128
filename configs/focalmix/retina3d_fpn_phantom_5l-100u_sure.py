# FocalMix on phantoms with confident pseudo-labels of the detector that it starts from, on patches
# around what that found: 5 labeled and 100 unlabeled scans.
#
# Start: python tools/train.py configs/focalmix/retina3d_fpn_phantom_5l-0u.py
# Train: python tools/self_train.py configs/focalmix/retina3d_fpn_phantom_5l-100u_sure.py \
#            work_dirs/retina3d_fpn_phantom_5l-0u/iter_1500.pth --rounds 2
# Data: see README.md; test, time and memory: retina3d_fpn_phantom.py.
# CPM 0.466 after the first round, 0.499 after the second; supervised with both MixUps for as
# many steps 0.456 and 0.462 (projects/benchmark/phantoms, Length).
_base_ = [
    './retina3d_fpn_phantom_10l-100u_candidates.py',
    '../_base_/baselines/confident_pseudo_labels.py',
]
model = _base_.baseline
candidates = dict(
    _base_.candidates_pipeline[1],
    marks='work_dirs/retina3d_fpn_phantom_5l-0u/candidates.csv',
    score_thr=0.5,
)
train_dataloader = dict(
    dataset=dict(
        datasets=dict(
            labeled=dict(split='splits/labeled_5.txt'),
            unlabeled=dict(
                pipeline=[
                    *_base_.candidates_pipeline[:1],
                    candidates,
                    *_base_.candidates_pipeline[2:],
                ]
            ),
        )
    )
)
