# SGD, its rate divided by ten twice: DeepLung's 0.01, 0.001 and 0.0001. Its authors train 150
# epochs; the number of steps and the milestones are choices.
_base_ = './iterations.py'
max_iters = 40000

optim_wrapper = dict(
    constructor='DefaultOptimWrapperConstructor',
    optimizer=dict(_delete_=True, type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters // 2, max_iters * 4 // 5],
    ),
]
