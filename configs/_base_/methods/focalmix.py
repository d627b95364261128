# FocalMix (CVPR 2020, arXiv 2003.09108). The paper states K = 4; T and eta are choices.
method = dict(
    type='FocalMixDetector',
    views=dict(num=4),
    temperature=0.7,
    image_mixup=dict(type='ImageMixUp', eta=0.2),
    object_mixup=dict(type='ObjectMixUp', eta=0.2),
)
