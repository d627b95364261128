# FocalMix (CVPR 2020, arXiv 2003.09108). The paper states K = 4; T, eta and what the unlabeled loss
# is divided by are choices.
method = dict(
    type='FocalMixDetector',
    targets=dict(
        type='AnchorTargets', views=dict(num=4), steps=[dict(type='Sharpen', temperature=0.7)]
    ),
    mixers=dict(image=dict(type='ImageMixUp', eta=0.2), object=dict(type='ObjectMixUp', eta=0.2)),
    unsup=dict(weight=1.0, divide_by=dict(type='LabeledPositives')),
)
