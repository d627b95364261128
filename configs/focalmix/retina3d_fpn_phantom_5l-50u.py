# FocalMix on phantoms: 5 labeled and 50 unlabeled scans.
#
# Train: python tools/train.py configs/focalmix/retina3d_fpn_phantom_5l-50u.py
# Data: see README.md; test, time and memory: retina3d_fpn_phantom.py. Not trained yet.
_base_ = './retina3d_fpn_phantom.py'
train_dataloader = dict(
    dataset=dict(
        datasets=dict(
            labeled=dict(split='splits/labeled_5.txt'),
            unlabeled=dict(split='splits/unlabeled_50.txt'),
        )
    )
)
