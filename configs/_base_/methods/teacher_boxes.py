# Few labels: boxes that a moving average of the detector finds are lesions for what the detector
# sees under strong changes; less sure ones count neither way. Cross entropy, patches are mixed.
# Near Unbiased Teacher v2. Start from a supervised detector. On real nodules with 2 labeled CTs:
# sensitivity .758 against .612, projects/benchmark/nodules.
_base_ = './unbiased_teacher.py'
method = dict(
    detector=dict(bbox_head=dict(loss_cls=dict(alpha=(1.0, 1.0), gamma=0.0))),
    targets=dict(ignore_thr=0.15),
    mixers=dict(image=dict(_delete_=True, type='ImageMixUp', eta=0.75)),
)
