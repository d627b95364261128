# DeepSEED on LUNA16.
#
# Data:  as configs/deeplung/deeplung_res18_luna16.py says
# Train: python tools/train.py configs/deepseed/deepseed_luna16.py --amp
# Test:  python tools/test.py configs/deepseed/deepseed_luna16.py CHECKPOINT --out marks.csv
# Expected: 5,405,135 parameters; 338 GFLOP forward for a patch, and 28 GB of activations kept in a
# step of 16 in float32, counted. Not trained yet: that needs LUNA16 and a GPU. Published CPM over
# ten folds: 0.862.
_base_ = [
    '../_base_/models/deepseed.py',
    '../_base_/datasets/luna16_deeplung.py',
    '../_base_/schedules/sgd.py',
    '../_base_/default_runtime.py',
]
patch_size = (128, 128, 128)
train_pipeline = [
    _base_.train_pipeline[0],
    dict(_base_.train_pipeline[1], size=patch_size),
    *_base_.train_pipeline[2:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

# 0.01, and 0.1, 0.05 and 0.01 of it from 20, 40 and 60 % of the training on.
fall = dict(type='MultiStepLR', by_epoch=False)
param_scheduler = [
    dict(fall, gamma=0.1, milestones=[8000]),
    dict(fall, gamma=0.5, milestones=[16000]),
    dict(fall, gamma=0.2, milestones=[24000]),
]
