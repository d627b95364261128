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

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts)
PATCH = 32  # voxels: twice the largest stride of any config
PAIR = re.compile('_(luna16|phantom)_([0-9]+)l-([0-9]+)u')


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


def scans_of(cfg) -> list[tuple]:
    """Folder and split of each source of the training data."""
    dataset = cfg.train_dataloader.dataset
    sources = dataset.datasets.values() if 'datasets' in dataset else [dataset]
    return [(source.data_root, source.get('split')) for source in sources]


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


@every_config
def test_the_model_is_built_and_the_header_trains_it(path):
    register_all_modules()
    model = MODELS.build(whole(path).model)
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert 5e4 < trained < 1e8
    for stated in re.findall(r'([\d.]+) M parameters', path.read_text()):
        assert f'{trained / 1e6:.{len(stated.partition(".")[2])}f}' == stated
    tool = 'self_train' if path.stem.endswith('_sure') else 'train'  # in rounds
    assert f'# Train: python tools/{tool}.py configs/{name_of(path)}' in path.read_text()


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


@pytest.mark.parametrize('path', [path for path in CONFIGS if PAIR.search(path.stem)], ids=name_of)
def test_the_name_tells_the_scans(path):
    data, labeled, unlabeled = PAIR.search(path.stem).groups()
    lists = [f'splits/labeled_{labeled}.txt', f'splits/unlabeled_{unlabeled}.txt']
    expected = [(f'data/{data}/', name) for name in lists[: 2 if int(unlabeled) else 1]]
    cfg = whole(path)
    assert scans_of(cfg) == expected
    mixes = int(unlabeled) > 0 or path.stem.endswith('_ce')
    assert (cfg.model.type == 'FocalMixDetector') == mixes


def settings(name: str) -> dict:
    """The model of a config in configs/focalmix, and its ramp-up."""
    cfg = whole(ROOT / 'configs/focalmix' / f'{name}.py')
    return dict(cfg.model, rampup=cfg.custom_hooks[0].get('rampup', 'linear'))


def test_ablations_change_one_thing_each():
    focalmix = settings('retina3d_fpn_luna16_100l-400u')
    changes = {
        'k1': {'views'},
        'k2': {'views'},
        'k8': {'views'},
        'image-mixup': {'object_mixup'},
        'no-mixup': {'object_mixup', 'image_mixup'},
    }
    for name, keys in changes.items():
        other = settings(f'retina3d_fpn_luna16_100l-400u_{name}')
        assert {key for key in focalmix if focalmix[key] != other[key]} == keys, name
    without_mixup = settings('retina3d_fpn_luna16_100l-400u_no-mixup')
    for name, switches in {
        'no-soft': {'soft_alpha', 'soft_beta'},
        'no-soft-alpha': {'soft_alpha'},
        'no-soft-beta': {'soft_beta'},
    }.items():
        other = settings(f'retina3d_fpn_luna16_100l-400u_{name}')
        assert {key for key in other if other[key] != without_mixup[key]} == {'detector'}
        loss = other['detector']['bbox_head']['loss_cls']
        assert {key for key in loss if loss[key] == 'threshold'} == switches


@pytest.mark.parametrize('name', ['retina3d_r50_monai_luna16', 's4nd_luna16'])
def test_labeled_patches_are_cut_and_changed_as_in_supervised_training(name):
    (supervised,) = [path for path in CONFIGS if path.stem == name and 'focalmix' not in str(path)]
    semi = whole(ROOT / f'configs/focalmix/{name}.py').train_dataloader.dataset.datasets
    dataset = whole(supervised).train_dataloader.dataset
    assert semi.labeled.pipeline[:-1] == dataset.pipeline[:-1]
    assert semi.labeled.data_root == semi.unlabeled.data_root == dataset.data_root


@pytest.mark.parametrize('pair', ['luna16_100l-400u', 'phantom_10l-100u'])
def test_baselines_share_the_detector(pair):
    focalmix = settings(f'retina3d_fpn_{pair}')
    teacher, mixmatch, pseudo = (
        settings(f'retina3d_fpn_{pair}_{name}')
        for name in ('mean-teacher', 'mixmatch', 'pseudo-labels')
    )
    assert pseudo['temperature'] == 0 and pseudo['image_mixup'] is None
    assert pseudo['detector'] == teacher['detector'] == focalmix['detector']
    assert teacher['rampup'] == 'sigmoid' and 0 < teacher['teacher']['momentum'] < 0.1
    assert mixmatch['detector']['backbone'] == focalmix['detector']['backbone']
    assert mixmatch['image_mixup'] == dict(type='ImageMixUp', eta=0.75)
    loss = mixmatch['detector']['bbox_head']['loss_cls']
    assert loss == dict(type='SoftFocalLoss', alpha=(1, 1), gamma=0)  # cross entropy


def test_metafiles_list_every_config():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    metafiles = [yaml.safe_load((ROOT / path).read_text()) for path in index['Import']]
    listed = [model['Config'] for metafile in metafiles for model in metafile['Models']]
    assert sorted(listed) == [f'configs/{name_of(path)}' for path in CONFIGS]
