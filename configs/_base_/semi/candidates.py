# After another one: most unlabeled patches lie around what a supervised detector found there.
#
# Marks: mmdet3d-medical test CONFIG CHECKPOINT --out candidates.csv --cfg-options \
#            test_dataloader.dataset.split=splits/unlabeled_400.txt
semi = dict(candidates=dict(marks='candidates.csv', score_thr=0.5, lesion_prob=0.7))
