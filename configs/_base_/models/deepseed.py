# DeepSEED (Li and Fan 2020, arXiv 1904.03501): DeepLung's residual encoder-decoder with squeeze and
# excitation in each block, separate heads for scores and boxes, and focal loss ("dynamically scaled
# cross entropy") on one positive and mined negatives.
_base_ = './deeplung_res18.py'

model = dict(
    backbone=dict(reduction=16),
    bbox_head=dict(
        shared=False,
        loss_cls=dict(type='SoftFocalLoss', alpha=(0.5, 0.5), gamma=2.0),
    ),
)
