# Mean Teacher (Tarvainen and Valpola 2017, arXiv 1703.01780): a moving average of the detector sees
# the patch mirrored or turned, the detector sees it with other contrast and noise; the square of
# the difference of their probabilities is the loss. The average is tested, as published. With few
# steps model.teacher.momentum=0.01.
_base_ = './focalmix.py'
method = dict(
    targets=dict(views=dict(num=1), steps=[], bn_stats='running'),
    teacher=dict(type='EMATeacher', momentum=0.001),
    student=[
        dict(type='StrongContrast', scale_range=(0.9, 1.1), shift_range=(-0.1, 0.1), prob=1.0),
        dict(type='StrongNoise', sigma_range=(0.0, 0.05)),
    ],
    mixers=dict(image=None, object=None),
    unsup=dict(loss=dict(type='SoftSquaredErrorLoss')),
    predict_on='teacher',
)
semi = dict(hook=dict(rampup='sigmoid'))
