# FocalMix on phantoms: 10 labeled and 100 unlabeled scans.
#
# Train: python tools/train.py configs/focalmix/retina3d_fpn_phantom_10l-100u.py
# Data: see README.md; test, time and memory: retina3d_fpn_phantom.py.
# Scores: projects/benchmark/phantoms.
_base_ = './retina3d_fpn_phantom.py'
train_dataloader = dict(
    dataset=dict(
        datasets=dict(
            labeled=dict(split='splits/labeled_10.txt'),
            unlabeled=dict(split='splits/unlabeled_100.txt'),
        )
    )
)
