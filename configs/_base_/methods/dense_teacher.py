# The idea of Dense Teacher (Zhou et al. 2022, arXiv 2207.02541): scores of the best 1 % of anchors,
# given by a moving average of the detector, are targets of what the detector sees under strong
# changes; all other anchors are background. The loss is divided by the sum of the targets. Unlike
# the paper no boxes are learned from unlabeled patches.
_base_ = './ema_teacher.py'
method = dict(
    targets=dict(views=dict(num=1), steps=[dict(type='TopK', share=0.01)], bn_stats='running'),
    unsup=dict(divide_by=dict(type='ScoreSum')),
)
