# The idea of Unbiased Teacher v2 (Liu et al. 2022, arXiv 2206.09500): boxes of a moving average of
# the detector from a low threshold on are lesions for what the detector sees under strong changes,
# with the focal loss against the teacher's bias. Boxes are learned; the paper picks those to learn
# by predicted uncertainty, here all are.
_base_ = './soft_teacher.py'
method = dict(targets=dict(score_thr=0.5, ignore_thr=0.3))
