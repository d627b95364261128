import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmdet3d_medical.apis import (
    UsageError,
    load_config,
    set_amp,
    set_marks_file,
    set_resume,
    set_seed,
    set_test_data,
)


def test_seed_reaches_every_place_that_takes_one():
    cfg = Config(
        dict(
            model=dict(type='FocalMixDetector', detector=dict()),
            train_dataloader=dict(
                sampler=dict(type='InfiniteDrawSampler', seed=0),
                dataset=dict(datasets=[dict(seed=0), dict(type='NoSeed')]),
            ),
            test_dataloader=dict(dataset=dict(seed=0)),
        )
    )
    set_seed(cfg, 5)
    assert cfg.randomness.seed == cfg.model.seed == 5
    assert 'seed' not in cfg.model.detector
    assert cfg.train_dataloader.sampler.seed == 5
    assert cfg.train_dataloader.dataset.datasets == [dict(seed=5), dict(type='NoSeed')]
    assert cfg.test_dataloader.dataset.seed == 0


@pytest.mark.parametrize(
    ('given', 'in_config', 'expected'),
    [('here', 'there', 'here'), (None, 'there', 'there'), (None, None, 'work_dirs/name')],
)
def test_work_dir(tmp_path, given, in_config, expected):
    path = tmp_path / 'name.py'
    path.write_text(f'work_dir = {in_config!r}\n' if in_config else 'a = 1\n')
    assert load_config(str(path), work_dir=given).work_dir == expected


def test_missing_config_says_where_it_was_looked_for():
    with pytest.raises(UsageError, match=f'no config nowhere.py .looked in {os.getcwd()}'):
        load_config('nowhere.py')


@pytest.mark.parametrize(
    ('device', 'wrapper', 'scale'),
    [('cpu', 'BFloat16OptimWrapper', None), ('cuda', 'AmpOptimWrapper', 'dynamic')],
)
def test_amp_suits_the_device(monkeypatch, device, wrapper, scale):
    monkeypatch.setattr('mmdet3d_medical.apis.config.get_device', lambda: device)
    cfg = Config(dict(optim_wrapper=dict(type='OptimWrapper', clip_grad=dict(max_norm=1))))
    set_amp(cfg)
    assert cfg.optim_wrapper.type == wrapper
    assert cfg.optim_wrapper.get('loss_scale') == scale
    assert cfg.optim_wrapper.clip_grad.max_norm == 1


def test_resume_takes_the_last_checkpoint_of_a_moved_folder(tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path), load_from=None))
    assert not set_resume(cfg)
    assert cfg.load_from is None
    (tmp_path / 'last_checkpoint').write_text('/before/it/moved/iter_7.pth')
    assert not set_resume(cfg)
    (tmp_path / 'iter_7.pth').touch()
    assert set_resume(cfg)
    assert (cfg.resume, Path(cfg.load_from)) == (True, tmp_path / 'iter_7.pth')


def test_marks_need_a_metric_that_writes_them():
    with pytest.raises(UsageError, match='FROCMetric'):
        set_marks_file(Config(dict(test_evaluator=[dict(type='mmdet.CocoMetric')])), 'marks.csv')


@pytest.mark.parametrize('several', [True, False])
def test_marks_go_to_the_froc_metric_only(several):
    metrics = [dict(type='mmdet3d_medical.FROCMetric'), dict(type='Other')]
    cfg = Config(dict(test_evaluator=metrics if several else metrics[0]))
    set_marks_file(cfg, 'marks.csv')
    if several:
        assert [metric.get('out') for metric in cfg.test_evaluator] == ['marks.csv', None]
    else:
        assert cfg.test_evaluator.out == 'marks.csv'


def test_marks_of_a_lowest_score():
    cfg = Config(dict(test_evaluator=dict(type='FROCMetric')))
    set_marks_file(cfg, 'marks.csv', 0.0)
    assert cfg.test_evaluator.out_min_score == 0


@pytest.mark.parametrize('given', ['new', 'new/index.json', 'new/other.json'])
def test_data_to_test_on_need_no_list(tmp_path, given):
    (tmp_path / 'new').mkdir()
    for name in ('index.json', 'other.json'):
        (tmp_path / 'new' / name).touch()
    dataset = dict(type='LUNA16Dataset', data_root='old', subsets=[7], split='test.txt', seed=3)
    cfg = Config(dict(test_dataloader=dict(dataset=dataset), val_dataloader=dict(dataset=dataset)))
    set_test_data(cfg, str(tmp_path / given))
    found = dict(data_root=str(tmp_path / 'new'), subsets=None, split=None)
    name = 'other.json' if 'other' in given else 'index.json'
    assert cfg.test_dataloader.dataset == {**dataset, **found, 'ann_file': name}
    assert cfg.val_dataloader.dataset == dataset


def test_data_to_test_on_must_be_there(tmp_path):
    cfg = Config(dict(test_dataloader=dict(dataset=dict(data_root='old'))))
    with pytest.raises(UsageError, match='found no index.json in it: convert the scans'):
        set_test_data(cfg, str(tmp_path))
    with pytest.raises(UsageError, match='found no such file: convert'):
        set_test_data(cfg, str(tmp_path / 'lost'))
    (tmp_path / 'index.json').touch()
    with pytest.raises(UsageError, match='no data set with a data_root in test_dataloader'):
        set_test_data(Config(dict(test_dataloader=dict())), str(tmp_path))


def test_bfloat16_runs_the_forward_pass_in_bfloat16():
    from mmdet3d_medical.engine import BFloat16OptimWrapper

    layer = torch.nn.Linear(2, 2)
    wrapper = BFloat16OptimWrapper(torch.optim.SGD(layer.parameters(), lr=1.0))
    with wrapper.optim_context(layer):
        out = layer(torch.ones(1, 2))
    assert out.dtype == torch.bfloat16
    wrapper.update_params(out.float().sum())
    assert layer.weight.dtype == torch.float32


CONFIGS = Path(__file__).parents[2] / 'configs'
OWN = f"_base_ = '{CONFIGS}/retina3d/retina3d_fpn_own_data.py'\n"


@pytest.mark.parametrize(
    ('line', 'options', 'root'),
    [
        ("data_root = 'data/other/'\n", None, 'data/other/'),
        ('', None, 'data/mine/'),
        ('', {'data_root': 'data/third'}, 'data/third'),
    ],
)
def test_own_data_are_named_in_one_place(tmp_path, line, options, root):
    (tmp_path / 'mine.py').write_text(OWN + line)
    cfg = load_config(str(tmp_path / 'mine.py'), options=options)
    loaders = [cfg[f'{name}_dataloader'] for name in ('train', 'val', 'test')]
    assert [loader.dataset.data_root for loader in loaders] == [root] * 3
    assert [loader.dataset.split for loader in loaders] == [
        'splits/train.txt',
        'splits/test.txt',
        'splits/test.txt',
    ]


def test_a_folder_named_beside_a_data_set_stays(tmp_path):
    line = "data_root = 'data/other/'\ntest_dataloader = dict(dataset=dict(data_root='data/new'))"
    (tmp_path / 'mine.py').write_text(OWN + line)
    cfg = load_config(str(tmp_path / 'mine.py'))
    assert cfg.train_dataloader.dataset.data_root == 'data/other/'
    assert cfg.test_dataloader.dataset.data_root == 'data/new'


def test_own_data_without_a_folder(tmp_path):
    (tmp_path / 'mine.py').write_text(OWN + 'data_root = None\n')
    with pytest.raises(UsageError, match='train_dataloader.dataset has no data_root'):
        load_config(str(tmp_path / 'mine.py'))
