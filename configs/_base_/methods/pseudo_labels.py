# Hard pseudo-labels, the idea of STAC (Sohn et al. 2020, arXiv 2005.04757) on anchors: those that
# the current model gives more than the threshold, here 0.7, are lesions, all others background.
_base_ = './focalmix.py'
method = dict(
    targets=dict(views=dict(num=1), steps=[dict(type='Threshold', value=0.7)]),
    mixers=dict(image=None, object=None),
)
