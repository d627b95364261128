# Labeled scans alone: cross entropy in the place of the focal loss, MixUp of patches as much as
# MixMatch has, averaged weights. teacher_boxes starts from a detector that was trained like this.
_base_ = ['./focalmix.py', './averaged_weights.py']
method = dict(
    detector=dict(bbox_head=dict(loss_cls=dict(alpha=(1.0, 1.0), gamma=0.0))),
    mixers=dict(image=dict(_delete_=True, type='ImageMixUp', eta=0.75), object=None),
)
