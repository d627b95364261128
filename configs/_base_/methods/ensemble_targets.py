# FocalMix with targets that are the mean probabilities of several trained detectors. Not from a
# paper.
#   --cfg-options model.teacher.checkpoints="['a.pth','b.pth','c.pth']"
_base_ = './focalmix.py'
method = dict(
    targets=dict(views=dict(num=1), bn_stats='running'),
    teacher=dict(type='EnsembleTeacher', checkpoints=['a.pth', 'b.pth', 'c.pth']),
    mixers=dict(object=None),
)
