# Only what the detector that a training starts from is sure of is learnt, the rest is left out:
# docs/focalmix.md, "Surest guesses". Not from a paper. `model = _base_.baseline`.
baseline = dict(
    teacher=dict(momentum=0.0),  # it stays as it begins
    statistics='running',
    temperature=0.0,
    unsure=(0.1, 0.7),
)
