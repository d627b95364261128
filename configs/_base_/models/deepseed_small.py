# The same detector for phantoms at 2 mm voxels.
_base_ = './deeplung_res18_small.py'

model = dict(
    backbone=dict(reduction=4),
    bbox_head=dict(
        shared=False,
        loss_cls=dict(type='SoftFocalLoss', alpha=(0.5, 0.5), gamma=2.0),
    ),
)
