# Only what the detector that a run starts from is sure of is learnt, the rest is left out:
# docs/focalmix.md, "Confident pseudo-labels". Not from a paper. `model = _base_.baseline`.
baseline = dict(
    teacher=dict(momentum=0.0),  # it stays as it begins
    bn_stats='running',
    temperature=0.0,
    ignore_range=(0.1, 0.7),
)
