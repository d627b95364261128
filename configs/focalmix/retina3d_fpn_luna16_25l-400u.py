# FocalMix on LUNA16: 25 labeled and 400 unlabeled scans. The paper: CPM 0.781.
#
# Train: python tools/train.py configs/focalmix/retina3d_fpn_luna16_25l-400u.py --amp
# Data, test, time and memory: as retina3d_fpn_luna16.py says. Not trained yet.
_base_ = './retina3d_fpn_luna16.py'
train_dataloader = dict(
    dataset=dict(
        datasets=dict(
            labeled=dict(split='splits/labeled_25.txt'),
            unlabeled=dict(split='splits/unlabeled_400.txt'),
        )
    )
)
