# FocalMix with hard labels where the detector that a run starts from is sure; the rest is ignored.
# Patches lie around what that detector found: docs/focalmix.md. Not from a paper. Trained by
# `mmdet3d-medical self-train`, which writes the marks.
_base_ = './focalmix.py'
method = dict(
    targets=dict(
        steps=[dict(type='IgnoreRange', low=0.1, high=0.7), dict(type='Threshold', value=0.5)],
        bn_stats='running',
    ),
    teacher=dict(type='FrozenTeacher'),
)
semi = dict(candidates=dict(marks='candidates.csv', score_thr=0.5, lesion_prob=0.7))
