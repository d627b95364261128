"""Every config is built and listed; those that put parts together, not those that change a
setting or a list of scans, are trained too."""

import re
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.runner import Runner

from mmdet3d_medical.apis import load_config
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.utils import register_all_modules
from mmdet3d_medical.utils.checkpoints import read_checkpoint
from mmdet3d_medical.utils.errors import UsageError

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts)
PATCH = 32  # voxels: twice the largest stride of any config


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT / 'configs'))


every_config = pytest.mark.parametrize('path', CONFIGS, ids=name_of)


def use_data(node, root: Path) -> None:
    """Let every data set in a config read this folder, whatever split it asks for, in patches."""
    if isinstance(node, dict):
        if 'data_root' in node:
            node.update(data_root=str(root), split=None)
        if 'Crop' in str(node.get('type')):
            node['size'] = tuple(min(PATCH, side) for side in node['size'])
        if 'marks' in node:
            node['marks'] = str(root / 'marks.csv')
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for item in node:
            use_data(item, root)


@cache
def whole(path: Path):
    return load_config(str(path))


def puts_parts_together(path: Path) -> bool:
    """MONAI's encoders, which do not shrink much, do so in the configs for phantoms alone."""
    text = path.read_text()
    together = any(sign in text for sign in ('_base_ = [', '_delete_', "dict(type='"))
    return together and not ('# Needs: pip install monai' in text and 'luna16' in path.stem)


@pytest.mark.parametrize('path', list(filter(puts_parts_together, CONFIGS)), ids=name_of)
def test_it_trains_two_steps_and_is_tested_from_its_checkpoint(path, data_root, tmp_path):
    register_all_modules()
    cfg = load_config(
        str(path),
        small=True,
        work_dir=str(tmp_path),
        options={
            'train_cfg.max_iters': 2,
            'train_cfg.val_interval': 1000,
            'default_hooks.checkpoint.interval': 2,
        },
    )
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        use_data(cfg[name], data_root)
    cfg.experiment_name = f'{path.stem}_{tmp_path.name}'
    model = Runner.from_cfg(cfg).train()
    assert all(weight.isfinite().all() for weight in model.parameters())
    cfg.load_from = str(tmp_path / 'iter_2.pth')
    cfg.test_dataloader.dataset.split = ['scan7']
    cfg.experiment_name += '_test'
    runner = Runner.from_cfg(cfg)
    assert set(runner.test()) >= {'froc/cpm'}
    pairs = zip(model.parameters(), runner.model.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


AVERAGED = {'averaged_weights', 'supervised_mixup'}  # what is trained is not what is tested
METHODS = sorted({path.stem for path in (ROOT / 'configs/_base_/methods').glob('*.py')} - AVERAGED)
AFTER_ANOTHER = ('cross_entropy', 'own_positives', 'mixup_off')


@pytest.mark.parametrize('method', METHODS)
def test_every_method_trains_and_is_tested_from_its_checkpoint(method, data_root, tmp_path):
    """Two steps; an ensemble guesses by the checkpoint of a supervised run."""
    register_all_modules()
    fragments = ['phantom', *['focalmix'] * (method in AFTER_ANOTHER), method]
    base = ROOT / 'configs/retina3d/retina3d_fpn_phantom.py'
    options = {'train_cfg.max_iters': 2, 'default_hooks.checkpoint.interval': 2}
    if method.startswith('ensemble_'):
        plain = load_config(str(base), small=True)
        torch.save(MODELS.build(plain.model).state_dict(), tmp_path / 'a.pth')
        options['model.teacher.checkpoints'] = [str(tmp_path / 'a.pth')] * 2
    cfg = load_config(
        str(base), small=True, work_dir=str(tmp_path), options=options, semi=fragments
    )
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        use_data(cfg[name], data_root)
    cfg.experiment_name = f'{method}_{tmp_path.name}'
    model = Runner.from_cfg(cfg).train()
    assert all(weight.isfinite().all() for weight in model.parameters())
    assert model.last_guess is not None
    checkpoint = read_checkpoint(tmp_path / 'iter_2.pth')
    assert checkpoint['meta']['mmdet3d_medical']['tested'] == model.predict_on
    cfg.load_from, cfg.experiment_name = str(tmp_path / 'iter_2.pth'), cfg.experiment_name + '_test'
    cfg.test_dataloader.dataset.split = ['scan7']
    runner = Runner.from_cfg(cfg)
    assert set(runner.test()) >= {'froc/cpm'}
    pairs = zip(model.tested.parameters(), runner.model.tested.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize('semi', [['focalmix', 'averaged_weights'], ['supervised_mixup']])
def test_averaged_weights_are_tested_and_kept_beside_the_trained_ones(semi, data_root, tmp_path):
    base = str(ROOT / 'configs/retina3d/retina3d_fpn_phantom.py')
    options = {'train_cfg.max_iters': 3, 'default_hooks.checkpoint.interval': 3}
    cfg = load_config(
        base,
        small=True,
        work_dir=str(tmp_path),
        options=options,
        semi=semi,
    )
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        use_data(cfg[name], data_root)
    cfg.experiment_name = tmp_path.name
    trained = dict(Runner.from_cfg(cfg).train().named_parameters())
    checkpoint = read_checkpoint(tmp_path / 'iter_3.pth')
    name = 'detector.bbox_head.classify.bias'
    assert torch.equal(checkpoint['ema_state_dict'][f'module.{name}'], trained[name])
    assert not torch.equal(checkpoint['state_dict'][name], trained[name])


@every_config
def test_the_model_is_built_and_the_header_trains_it(path):
    register_all_modules()
    model = MODELS.build(whole(path).model)
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert 5e4 < trained < 1e8
    for stated in re.findall(r'([\d.]+) M parameters', path.read_text()):
        assert f'{trained / 1e6:.{len(stated.partition(".")[2])}f}' == stated
    assert f'# Train: python tools/train.py configs/{name_of(path)}' in path.read_text()


@pytest.mark.parametrize(
    ('name', 'number'),
    [('deeplung/deeplung_res18_luna16', 5_383_623), ('deeplung/deeplung_dpn26_luna16', 1_360_431)],
)
def test_networks_are_as_large_as_the_originals(name, number):
    register_all_modules()
    model = MODELS.build(whole(ROOT / f'configs/{name}.py').model)
    assert sum(weight.numel() for weight in model.parameters()) == number


def test_deepseed_lowers_its_rate_as_stated():
    schedulers = whole(ROOT / 'configs/deepseed/deepseed_luna16.py').param_scheduler
    rate, seen = 1.0, {}
    for scheduler in schedulers:
        rate *= scheduler.gamma
        seen[scheduler.milestones[0] / 40000] = rate
    assert seen == pytest.approx({0.2: 0.1, 0.4: 0.05, 0.6: 0.01})


def combined(name: str, *semi: str):
    """A config of the detector ``name`` with fragments."""
    return load_config(str(ROOT / f'configs/{name}.py'), semi=semi)


DETECTORS = [path for path in CONFIGS if path.parent.name != 'focalmix']


@pytest.mark.parametrize('path', DETECTORS, ids=name_of)
def test_focalmix_goes_around_every_detector(path):
    register_all_modules()
    data = 'phantom' if path.stem.endswith('phantom') else 'luna16'
    cfg = combined(name_of(path).removesuffix('.py'), data, 'focalmix')
    model = MODELS.build(cfg.model)
    assert type(model).__name__ == 'FocalMixDetector'
    plain = MODELS.build(whole(path).model)
    assert [w.shape for w in model.detector.parameters()] == [w.shape for w in plain.parameters()]


@pytest.mark.parametrize('path', [p for p in CONFIGS if p.parent.name == 'focalmix'], ids=name_of)
def test_a_file_of_focalmix_is_its_detector_with_fragments(path):
    if path.stem.endswith('nlst'):
        return
    (detector,) = [p for p in DETECTORS if p.stem == path.stem]
    data = 'phantom' if path.stem.endswith('phantom') else 'luna16'
    asked = combined(name_of(detector).removesuffix('.py'), data, 'focalmix')
    for key in ('model', 'custom_hooks', 'optim_wrapper', 'test_dataloader'):
        assert whole(path)[key] == asked[key], key
    assert whole(path).train_dataloader.dataset == asked.train_dataloader.dataset


@pytest.mark.parametrize('path', DETECTORS, ids=name_of)
def test_labeled_patches_are_those_of_supervised_training_and_unlabeled_ones_lie_anywhere(path):
    data = 'phantom' if path.stem.endswith('phantom') else 'luna16'
    cfg = combined(name_of(path).removesuffix('.py'), data, 'focalmix')
    dataset, semi = whole(path).train_dataloader.dataset, cfg.train_dataloader.dataset.datasets
    assert semi.labeled.pipeline[:-1] == dataset.pipeline[:-1]
    assert (
        semi.labeled.pipeline[-1].sup == semi.unlabeled.pipeline[-1].unsup == dataset.pipeline[-1]
    )
    assert semi.labeled.data_root == semi.unlabeled.data_root == dataset.data_root
    assert [step.get('lesion_prob', 0) for step in semi.unlabeled.pipeline] == [0] * len(
        semi.unlabeled.pipeline
    )
    changed = {key: value for step in semi.unlabeled.pipeline[:-1] for key, value in step.items()}
    assert {**changed, 'lesion_prob': dataset.pipeline[1].lesion_prob} == {
        key: value for step in dataset.pipeline[:-1] for key, value in step.items()
    }


def settings(*methods: str, data: str = 'luna16') -> dict:
    """The model of the base detector with fragments, and its ramp-up."""
    cfg = combined(f'retina3d/retina3d_fpn_{data}', data, *methods)
    return dict(cfg.model, rampup=cfg.custom_hooks[0].get('rampup', 'linear'))


@pytest.mark.parametrize('data', ['luna16', 'phantom'])
def test_methods_share_the_detector(data):
    focalmix, teacher, mixmatch, pseudo, confident = (
        settings(name, data=data)
        for name in (
            'focalmix',
            'mean_teacher',
            'mixmatch',
            'pseudo_labels',
            'confident_pseudo_labels',
        )
    )
    assert pseudo['targets']['steps'] == [dict(type='Threshold', value=0.7)]
    assert pseudo['mixers']['image'] is None
    assert pseudo['detector'] == teacher['detector'] == focalmix['detector']
    assert teacher['rampup'] == 'sigmoid' and 0 < teacher['teacher']['momentum'] < 0.1
    assert mixmatch['detector']['backbone'] == focalmix['detector']['backbone']
    assert mixmatch['mixers']['image'] == dict(type='ImageMixUp', eta=0.75)
    loss = mixmatch['detector']['bbox_head']['loss_cls']
    assert loss == dict(type='SoftFocalLoss', alpha=(1, 1), gamma=0)  # cross entropy
    unsure = dict(type='IgnoreRange', low=0.1, high=0.7)
    assert confident['targets']['steps'][0] == unsure
    assert confident['teacher'] == dict(type='FrozenTeacher')


def test_later_fragments_change_earlier_ones():
    both = settings('confident_pseudo_labels', 'cross_entropy')
    assert both['targets']['steps'][0]['type'] == 'IgnoreRange'
    assert both['detector']['bbox_head']['loss_cls']['gamma'] == 0
    assert both['mixers']['object'] is None


def test_candidates_are_loaded_before_patches_are_cut():
    cfg = combined('retina3d/retina3d_fpn_phantom', 'phantom', 'candidates', 'focalmix')
    semi = cfg.train_dataloader.dataset.datasets
    assert [step.type for step in semi.unlabeled.pipeline[:2]] == ['LoadVolume', 'LoadCandidates']
    assert 'lesion_prob' not in semi.unlabeled.pipeline[1]
    assert semi.unlabeled.pipeline[2].lesion_prob == 0.7
    assert [step.type for step in semi.labeled.pipeline[:2]] == ['LoadVolume', 'RandomCrop3D']


def test_a_method_without_unlabeled_scans_is_supervised():
    cfg = combined('retina3d/retina3d_fpn_phantom', 'focalmix')
    assert cfg.model.type == 'FocalMixDetector'
    plain = whole(ROOT / 'configs/retina3d/retina3d_fpn_phantom.py')
    assert cfg.train_dataloader == plain.train_dataloader


@pytest.mark.parametrize(
    ('name', 'semi', 'message'),
    [
        ('focalmix/retina3d_fpn_phantom', ('phantom', 'mixmatch'), 'already'),
        ('retina3d/retina3d_fpn_phantom', ('phantom',), 'none of them is a method'),
        ('retina3d/retina3d_fpn_phantom', ('phantom', 'focal'), 'none of .*focalmix'),
    ],
)
def test_fragments_that_make_no_config_are_refused(name, semi, message):
    with pytest.raises(UsageError, match=message):
        combined(name, *semi)


def test_metafiles_list_every_config():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    metafiles = [yaml.safe_load((ROOT / path).read_text()) for path in index['Import']]
    listed = [model['Config'] for metafile in metafiles for model in metafile['Models']]
    assert sorted(listed) == [f'configs/{name_of(path)}' for path in CONFIGS]
