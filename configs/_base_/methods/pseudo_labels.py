# Hard pseudo-labels, the idea of STAC (Sohn et al. 2020, arXiv 2005.04757) on anchors: those that
# the current model gives more than the threshold, here 0.7, are lesions, all others background.
_base_ = './focalmix.py'
method = dict(
    views=dict(num=1),
    temperature=0.0,
    center=0.7,
    image_mixup=None,
    object_mixup=None,
)
