# Labeled and unlabeled CTs of real nodules for a detector's config, projects/benchmark/nodules.
semi = dict(
    patches=(4, 4),
    labeled=dict(split='splits/labeled_10.txt'),
    unlabeled=dict(split='splits/unlabeled_300.txt'),
    hook=dict(type='SemiSupervisedHook', rampup_iters=600),
)
