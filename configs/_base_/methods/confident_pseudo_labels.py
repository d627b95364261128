# FocalMix with hard labels where the detector that a run starts from is sure; the rest is ignored.
# Patches lie around what that detector found: docs/focalmix.md. Not from a paper. Trained by
# `mmdet3d-medical self-train`, which writes the marks.
_base_ = './focalmix.py'
method = dict(
    teacher=dict(momentum=0.0),  # it stays as it begins
    bn_stats='running',
    temperature=0.0,
    ignore_range=(0.1, 0.7),
)
semi = dict(candidates=dict(marks='candidates.csv', score_thr=0.5, lesion_prob=0.7))
