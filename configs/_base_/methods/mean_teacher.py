# Mean Teacher (Tarvainen and Valpola 2017, arXiv 1703.01780): the moving average of the detector
# sees another view of a patch, mirrored, turned, brighter or darker; the square of the difference
# of their probabilities is the loss. Tests use the detector itself, as those of FocalMix. With few
# steps model.teacher.momentum=0.01.
_base_ = './focalmix.py'
method = dict(
    views=dict(num=1, scale_range=(0.9, 1.1), shift_range=(-0.1, 0.1)),
    temperature=1.0,
    bn_stats='running',
    teacher=dict(momentum=0.001),
    image_mixup=None,
    object_mixup=None,
    unsup_loss=dict(type='SoftSquaredErrorLoss'),
)
semi = dict(hook=dict(rampup='sigmoid'))
