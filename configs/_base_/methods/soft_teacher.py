# The idea of Soft Teacher (Xu et al. 2021, arXiv 2106.09018): boxes that a moving average of the
# detector is sure of, 0.9 and above as in the paper, are lesions for what the detector sees under
# strong changes; less sure ones count neither way, where the paper weights background by the
# teacher's score. Boxes are learned.
_base_ = './ema_teacher.py'
method = dict(
    targets=dict(
        _delete_=True, type='BoxTargets', views=dict(num=1), score_thr=0.9, ignore_thr=0.1
    ),
)
