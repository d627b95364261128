# The RetinaNet of MONAI's bundle lung_nodule_ct_detection, whose weights it takes once converted.
#
# Data:  python tools/dataset_converters/luna16.py LUNA16_DIR --out data/luna16_monai \
#            --spacing 1.25 0.703125 0.703125 --crop none
#        python tools/dataset_converters/make_splits.py data/luna16_monai/index.json
# Train: python tools/train.py configs/retina3d/retina3d_r50_monai_luna16.py --amp
# Test:  python tools/test.py configs/retina3d/retina3d_r50_monai_luna16.py CHECKPOINT \
#            --out marks.csv
# Published weights: see README.md, "Weights of MONAI's bundle".
# Expected: 20,902,741 parameters. Not trained here, and the published weights were not tried: that
# needs LUNA16, a GPU and a download. Published CPM over ten folds: 0.936.
_base_ = [
    '../_base_/models/retina3d_r50_monai.py',
    '../_base_/datasets/luna16_monai.py',
    '../_base_/schedules/iterations.py',
    '../_base_/default_runtime.py',
]
model = dict(winograd=True)  # half of the time on CPUs
max_iters = 160000  # 300 times each of 533 scans, 4 patches at a time

optim_wrapper = dict(
    constructor='DefaultOptimWrapperConstructor',
    optimizer=dict(
        _delete_=True, type='SGD', lr=0.01, momentum=0.9, nesterov=True, weight_decay=3e-5
    ),
    clip_grad=None,
)
# Warm-up for 10 of 300 epochs, a tenth of the rate 160 epochs later.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=max_iters // 30),
    dict(type='MultiStepLR', by_epoch=False, gamma=0.1, milestones=[max_iters * 17 // 30]),
]
train_cfg = dict(max_iters=max_iters)
