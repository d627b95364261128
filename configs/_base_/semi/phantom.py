# Labeled and unlabeled phantoms for a detector's config.
#
# Lists: mmdet3d-medical make-splits data/phantom/index.json --test-subsets 7 8 9 \
#            --labeled 10 --unlabeled 100
semi = dict(
    patches=(4, 4),
    labeled=dict(split='splits/labeled_10.txt'),
    unlabeled=dict(split='splits/unlabeled_100.txt'),
    hook=dict(type='SemiSupervisedHook', rampup_iters=600),
)
