# MixMatch (Berthelot et al. 2019, arXiv 1905.02249) on anchors, with the losses and values of its
# authors: cross entropy of labeled, squared error of unlabeled patches, K = 2, T = 0.5, Beta(0.75,
# 0.75). Tests use the detector itself, not its moving average, as those of FocalMix.
# `model = _base_.baseline`.
_base_ = './cross_entropy.py'
baseline = dict(
    _base_.cross_entropy,
    views=dict(num=2),
    temperature=0.5,
    unsup_loss=dict(type='SoftSquaredErrorLoss'),
)
