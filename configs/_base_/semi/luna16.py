# Labeled and unlabeled scans of LUNA16 for a detector's config, as in the FocalMix paper. Other
# numbers of scans are other lists, which `mmdet3d-medical make-splits` writes:
#   --cfg-options train_dataloader.dataset.datasets.labeled.split=splits/labeled_50.txt \
#       train_dataloader.dataset.datasets.unlabeled.split=splits/unlabeled_100.txt
semi = dict(
    patches=(8, 8),  # labeled and unlabeled ones in a batch
    labeled=dict(split='splits/labeled_25.txt'),
    unlabeled=dict(split='splits/unlabeled_400.txt'),
    hook=dict(type='SemiSupervisedHook', rampup_iters=4000),
)
