# Boxes that several trained detectors agree on are lesions, what few of them find counts neither
# way. Boxes are learned; patches are mixed. Not from a paper.
#   --cfg-options model.teacher.checkpoints="['a.pth','b.pth','c.pth']"
_base_ = './focalmix.py'
method = dict(
    targets=dict(
        _delete_=True, type='BoxTargets', views=dict(num=1), score_thr=0.5, ignore_thr=0.15
    ),
    teacher=dict(type='EnsembleTeacher', checkpoints=['a.pth', 'b.pth', 'c.pth']),
    mixers=dict(object=None),
)
