# 4,000 steps more, with patches around what the first detector took for nodules. Half an hour.
# Run by train.sh.
_base_ = './first.py'
max_iters = 4000
work = 'work_dirs/luna16_nodules/'


def _around(marks, data, seed):
    """Patches of a data set around marks of the first detector that scored .3 and above."""
    load, *rest = data['pipeline']
    candidates = dict(type='LoadCandidates', marks=marks, score_thr=0.3)
    return dict(data, pipeline=[load, candidates, *rest], seed=seed)


hard_cubes = _around(work + 'cube_marks.csv', _base_.cubes, 2)
hard_scan = _around(work + 'scan_marks.csv', _base_.scan, 3)
train_dataloader = dict(
    sampler=dict(source_ratio=[4, 1, 1, 2]),
    dataset=dict(datasets=[_base_.cubes, _base_.scan, hard_cubes, hard_scan]),
)
load_from = work + 'first/iter_8000.pth'
optim_wrapper = dict(optimizer=dict(lr=7e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=100, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
