# MixMatch (Berthelot et al. 2019, arXiv 1905.02249) on anchors, with the losses and values of its
# authors: cross entropy of labeled, squared error of unlabeled patches, K = 2, T = 0.5, Beta(0.75,
# 0.75). Tests use the detector itself; for its moving average add mmengine's EMAHook.
_base_ = './focalmix.py'
method = dict(
    detector=dict(bbox_head=dict(loss_cls=dict(alpha=(1.0, 1.0), gamma=0.0))),
    targets=dict(views=dict(num=2), steps=[dict(type='Sharpen', temperature=0.5)]),
    mixers=dict(image=dict(eta=0.75), object=None),
    unsup=dict(loss=dict(type='SoftSquaredErrorLoss')),
)
