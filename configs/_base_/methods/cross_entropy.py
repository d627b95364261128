# After another method: cross entropy in the place of the focal loss, and as much MixUp of patches
# as MixMatch has: with few labeled phantoms the better baseline, projects/benchmark/phantoms.
method = dict(
    detector=dict(bbox_head=dict(loss_cls=dict(alpha=(1.0, 1.0), gamma=0.0))),
    mixers=dict(image=dict(_delete_=True, type='ImageMixUp', eta=0.75), object=None),
)
