"""What makes a detector's config semi-supervised, beside the configs that are shipped."""

import pytest

from mmdet3d_medical.apis import load_config
from mmdet3d_medical.apis.semi import _tell_once, combine, run_name, semi_supervised
from mmdet3d_medical.utils.errors import UsageError

DETECTOR = dict(
    model=dict(
        type='DenseDetector3D', bbox_head=dict(type='Head', sampler='mines', loss=dict(a=1))
    ),
    train_dataloader=dict(
        batch_size=8,
        sampler=dict(type='InfiniteDrawSampler', seed=3),
        dataset=dict(
            type='VolumeDetDataset',
            data_root='data/',
            split='train.txt',
            pipeline=[
                dict(type='LoadVolume'),
                dict(type='RandomCrop3D', size=(8, 8, 8)),
                dict(type='RandomFlip3D'),
                dict(type='PackVolumeInputs'),
            ],
        ),
    ),
    custom_hooks=[dict(type='EMAHook')],
)
FRAGMENTS = dict(
    method=dict(type='FocalMixDetector', seed=7),
    semi=dict(
        patches=(4, 2),
        labeled=dict(split='a.txt'),
        unlabeled=dict(split='b.txt', data_root='other/'),
        hook=dict(type='SemiSupervisedHook'),
    ),
)


def test_unlabeled_patches_are_not_aimed_where_the_config_leaves_it_to_the_default():
    """The default of RandomCrop3D aims half of the patches at annotated lesions."""
    _, loader, _ = semi_supervised({**DETECTOR, **FRAGMENTS})
    labeled, unlabeled = loader['dataset']['datasets'].values()
    assert 'lesion_prob' not in labeled['pipeline'][1]
    assert unlabeled['pipeline'][1]['lesion_prob'] == 0.0
    assert 'lesion_prob' not in unlabeled['pipeline'][2]  # which flips
    assert (labeled['split'], labeled['data_root']) == ('a.txt', 'data/')
    assert (unlabeled['split'], unlabeled['data_root']) == ('b.txt', 'other/')


def test_batches_have_the_patches_that_are_asked_for():
    _, loader, _ = semi_supervised({**DETECTOR, **FRAGMENTS})
    assert loader['batch_size'] == 6
    assert loader['sampler'] == dict(
        type='MultiSourceDrawSampler', batch_size=6, source_ratio=[2, 1], seed=3
    )
    assert semi_supervised({**DETECTOR, **FRAGMENTS}, patches=(1, 3))[1]['batch_size'] == 4


def test_hooks_of_the_detector_stay():
    _, _, hooks = semi_supervised({**DETECTOR, **FRAGMENTS})
    assert [hook['type'] for hook in hooks] == ['SemiSupervisedHook', 'EMAHook']


def test_what_a_detector_needs_under_soft_targets_and_a_method_changes():
    soft = dict(detector=dict(bbox_head=dict(sampler=None, loss=dict(_delete_=True, b=2))))
    method = dict(FRAGMENTS['method'], detector=dict(bbox_head=dict(loss=dict(c=3))))
    base = {**DETECTOR, **FRAGMENTS, 'soft_targets': soft, 'method': method}
    model, _, _ = semi_supervised(base)
    assert model['detector'] == dict(
        type='DenseDetector3D', bbox_head=dict(type='Head', sampler=None, loss=dict(b=2, c=3))
    )
    assert DETECTOR['model']['bbox_head']['loss'] == dict(a=1)  # the base stays as it is


@pytest.mark.parametrize(
    ('fragments', 'name'),
    [((), 'deepseed_phantom'), (('phantom', 'x/mine.py'), 'deepseed_phantom_phantom-mine')],
)
def test_names_of_runs(fragments, name):
    assert run_name('configs/deepseed/deepseed_phantom.py', fragments) == name


@pytest.mark.parametrize(
    ('semi', 'message'),
    [
        (dict(patchs=(1, 1)), "has .*'patchs'"),
        (dict(unlabeled=dict(pipeline=[])), 'semi.unlabeled has a pipeline'),
    ],
)
def test_values_that_nothing_reads_are_refused(semi, message):
    with pytest.raises(UsageError, match=message):
        semi_supervised({**DETECTOR, **FRAGMENTS}, **semi)


def test_values_that_are_missing_are_named():
    base = {**DETECTOR, 'method': FRAGMENTS['method'], 'semi': dict(patches=(1, 1))}
    with pytest.raises(UsageError, match=r"semi has \['patches'\]: expected .*'hook'"):
        semi_supervised(base)


@pytest.mark.parametrize(
    'fragments, message',
    [
        (['teacher_boxes'], 'has a teacher, EMATeacher, .* there are none: give luna16'),
        (['mean_teacher'], 'no scans and patches: give luna16'),
        (['phantom', 'cross_entropy', 'focalmix'], 'cross_entropy comes after a method'),
        (['phantom', 'focalmix', 'mixmatch'], 'mixmatch is a second method'),
        (['phantom', 'teacher_boxes', 'supervised_mixup'], 'supervised_mixup is a second method'),
        (['phantom', 'candidates'], 'none of them is a method'),
    ],
)
def test_fragments_that_do_not_go_together(fragments, message):
    with pytest.raises(UsageError, match=message):
        combine(load_config('configs/retina3d/retina3d_fpn_phantom.py'), fragments)


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(patches=(4, 0)), r'1 or more of each, found \(4, 0\)'),
        (dict(candidates=dict(marks='a.csv')), 'candidates has no lesion_prob'),
    ],
)
def test_values_that_nothing_can_work_with(changes, message):
    with pytest.raises(UsageError, match=message):
        semi_supervised({**DETECTOR, **FRAGMENTS}, **changes)


def test_training_without_unlabeled_scans_is_told_once(capsys):
    """However often a table asks for its configs."""
    _tell_once.cache_clear()
    cfg = load_config('configs/retina3d/retina3d_fpn_phantom.py')
    for _ in range(2):
        combined = combine(cfg, ['focalmix', 'cross_entropy'])
    assert 'datasets' not in combined.train_dataloader.dataset
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith('--semi')]
    assert told == ['--semi focalmix cross_entropy: no unlabeled scans, so training is supervised']


def test_hooks_of_the_config_and_of_all_fragments_stay():
    """Each once, though two fragments have the same one."""
    cfg = load_config('configs/retina3d/retina3d_fpn_phantom.py')
    cfg.custom_hooks = [dict(type='VolumeVisualizationHook')]
    fragments = ['phantom', 'supervised_mixup', 'averaged_weights', 'mixup_off']
    types = [hook.type for hook in combine(cfg, fragments).custom_hooks]
    assert types == ['SemiSupervisedHook', 'VolumeVisualizationHook', 'EMAHook', 'MixUpOffHook']


def test_teacher_boxes_are_what_the_benchmark_measured():
    cfg = load_config('configs/retina3d/retina3d_fpn_nodules.py')
    preset = combine(cfg, ['nodules', 'teacher_boxes'])
    measured = combine(cfg, ['nodules', 'unbiased_teacher', 'cross_entropy'])
    measured.model.targets.ignore_thr = 0.15
    parts = ('model', 'train_dataloader', 'custom_hooks')
    assert [preset[part] for part in parts] == [measured[part] for part in parts]


def test_supervised_mixup_is_the_recipe_that_the_benchmark_measured():
    cfg = load_config('configs/retina3d/retina3d_fpn_nodules.py')
    preset = combine(cfg, ['supervised_mixup'])
    measured = combine(cfg, ['focalmix', 'cross_entropy', 'averaged_weights'])
    parts = ('model', 'train_dataloader', 'custom_hooks')
    assert [preset[part] for part in parts] == [measured[part] for part in parts]
    assert preset.custom_hooks[0].type == 'EMAHook'


def test_a_batch_that_its_sampler_does_not_have_is_refused():
    """The sampler would go on dividing batches of 8, and labels would be in every other batch."""
    where = 'train_dataloader.batch_size'
    fragments, both = ['phantom', 'focalmix'], {where: 4, 'train_dataloader.sampler.batch_size': 4}
    path = 'configs/retina3d/retina3d_fpn_phantom.py'
    with pytest.raises(UsageError, match='batch_size is 4, but its sampler divides batches of 8'):
        load_config(path, options={where: 4}, semi=fragments)
    assert load_config(path, options=both, semi=fragments).train_dataloader.batch_size == 4


def test_an_average_that_nothing_moves_is_refused():
    path, fragments = 'configs/retina3d/retina3d_fpn_phantom.py', ['phantom', 'teacher_boxes']
    options = {'custom_hooks': [dict(type='EMAHook')]}
    with pytest.raises(UsageError, match='nothing moves the teacher'):
        load_config(path, options=options, semi=fragments)
    options['custom_hooks'] += [dict(type='TeacherHook')]
    assert load_config(path, options=options, semi=fragments).model.teacher.type == 'EMATeacher'
