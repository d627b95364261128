"""Labeled and unlabeled scans in one batch: ratio, passes, ranks, resuming, and what a batch is."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator

from mmdet3d_medical.apis import shrink
from mmdet3d_medical.datasets import (
    Draw,
    InfiniteDrawSampler,
    MultiSourceDataset,
    MultiSourceDrawSampler,
    VolumeDetDataset,
    branch_in_use,
    read_index,
    write_index,
)
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.random import generator

SHAPE = (10, 12, 14)
CONFIGS = Path(__file__).parents[2] / 'configs'


class Sources:
    """Stands for a data set: a sampler looks at the lengths alone."""

    def __init__(self, *sizes):
        self.datasets = [range(size) for size in sizes]

    def __len__(self):
        return sum(map(len, self.datasets))


def make_sampler(sizes=(5, 9), batch_size=4, ratio=(1, 1), seed=0, rank=0, world=1, **kwargs):
    sampler = MultiSourceDrawSampler(Sources(*sizes), batch_size, ratio, seed=seed, **kwargs)
    sampler.rank, sampler.world_size = rank, world
    return sampler


def take(sampler, count):
    return list(itertools.islice(sampler, count))


class TestSampler:
    @settings(max_examples=25, deadline=None)
    @given(
        sizes=st.lists(st.integers(1, 9), min_size=1, max_size=3),
        data=st.data(),
        parts=st.integers(1, 3),
        world=st.integers(1, 3),
        skipped=st.integers(0, 40),
    )
    def test_ratio_ranks_and_resuming(self, sizes, data, parts, world, skipped):
        ratio = data.draw(st.lists(st.integers(1, 3), min_size=len(sizes), max_size=len(sizes)))
        batch = parts * sum(ratio)
        settings = dict(sizes=sizes, ratio=ratio)
        whole = take(make_sampler(batch_size=batch * world, **settings), 8 * batch * world)
        assert [draw.number for draw in whole] == list(range(len(whole)))
        stops = np.cumsum(sizes)
        for rank in range(world):
            one = dict(settings, batch_size=batch, rank=rank, world=world)
            draws = take(make_sampler(**one), 8 * batch)
            assert draws == whole[rank::world]
            owners = np.searchsorted(stops, [draw.index for draw in draws], side='right')
            assert (
                owners.reshape(8, batch) == np.repeat(range(len(sizes)), np.array(ratio) * parts)
            ).all()
            resumed = make_sampler(**one)
            resumed.skip(skipped)
            assert take(resumed, batch) == take(make_sampler(**one), skipped + batch)[skipped:]

    def test_each_source_has_passes_of_its_own(self):
        draws = take(make_sampler((5, 8), 4), 4 * 20)
        labeled = [draw.index for draw in draws if draw.index < 5]
        unlabeled = [draw.index - 5 for draw in draws if draw.index >= 5]
        assert len(labeled) == len(unlabeled) == 40
        for indexes, size in ((labeled, 5), (unlabeled, 8)):
            passes = [indexes[k : k + size] for k in range(0, 40, size)]
            assert all(sorted(one) == list(range(size)) for one in passes)
            assert len({tuple(one) for one in passes}) > 1

    def test_sources_of_one_size_are_shuffled_differently(self):
        draws = take(make_sampler((30, 30), 60), 60)
        assert [d.index for d in draws[:30]] != [d.index - 30 for d in draws[30:]]

    def test_seed_decides(self):
        first, again, other = (take(make_sampler((9, 9), seed=seed), 12) for seed in (1, 1, 2))
        assert first == again != other

    def test_unshuffled_by_hand(self):
        draws = take(make_sampler((2, 3), 3, (1, 2), shuffle=False), 9)
        assert [draw.index for draw in draws] == [0, 2, 3, 1, 4, 2, 0, 3, 4]

    @pytest.mark.parametrize(
        'wrong, message',
        [
            (dict(batch_size=5), 'batch of 5 cannot be divided'),
            (dict(batch_size=0), 'multiple of 2'),
            (dict(ratio=(1,)), '2 integers of at least 1'),
            (dict(ratio=(1, 0)), '2 integers of at least 1'),
            (dict(sizes=(3, 0)), r'empty source, the sizes are \[3, 0\]'),
        ],
    )
    def test_wrong_settings_are_refused(self, wrong, message):
        with pytest.raises(ValueError, match=message):
            make_sampler(**wrong)

    def test_one_source_alone_is_still_a_data_set(self):
        draws = take(make_sampler((4,), 2, (1,)), 8)
        assert sorted(draw.index for draw in draws) == [0, 0, 1, 1, 2, 2, 3, 3]
        assert isinstance(make_sampler(), InfiniteDrawSampler)


def write_scans(root, names, annotated=True, classes=('nodule',)):
    """Noise with a lesion in the middle of each scan."""
    (root / 'volumes').mkdir(parents=True)
    geometry = VolumeGeometry((0, 0, 0), (1, 1, 1), (1, 0, 0, 0, 1, 0, 0, 0, 1), SHAPE)
    scans = []
    for number, name in enumerate(names):
        voxels = np.random.default_rng(number).integers(-900, 100, SHAPE).astype(np.int16)
        np.save(root / 'volumes' / f'{name}.npy', voxels)
        scans.append(
            dict(
                scan_id=name,
                volume=f'volumes/{name}.npy',
                annotated=annotated,
                geometry=geometry.to_dict(),
                instances=[dict(center=[7.0, 6.0, 5.0], diameter=3.0)],
            )
        )
    write_index(root / 'index.json', dict(classes=list(classes), scans=scans))
    return str(root)


def source(root, **kwargs):
    return dict(
        type='VolumeDetDataset', data_root=root, pipeline=[dict(type='LoadVolume')], **kwargs
    )


class TestDataset:
    @pytest.fixture
    def roots(self, tmp_path):
        return write_scans(tmp_path / 'a', 'abc'), write_scans(tmp_path / 'b', 'xy', False)

    def test_sources_follow_each_other(self, roots):
        dataset = MultiSourceDataset([source(roots[0]), source(roots[1])])
        assert len(dataset) == 5
        assert [dataset[k]['scan_id'] for k in range(5)] == list('abcxy')
        assert [dataset[k]['annotated'] for k in range(5)] == [True] * 3 + [False] * 2
        item = dataset[Draw(4, 77)]
        assert (item['scan_id'], item['draw']) == ('y', Draw(1, 77))

    def test_one_index_with_two_lists_by_name(self, roots):
        dataset = MultiSourceDataset(
            dict(
                labeled=source(roots[0], split=['c']), unlabeled=source(roots[0], split=['b', 'a'])
            )
        )
        assert [dataset[k]['scan_id'] for k in range(3)] == ['c', 'b', 'a']
        assert dataset.metainfo['classes'] == ('nodule',)

    def test_every_draw_has_a_generator_of_its_own(self, roots):
        dataset = MultiSourceDataset([source(roots[0]), source(roots[1])])
        numbers = [
            dataset[draw]['rng'].random()
            for draw in take(MultiSourceDrawSampler(dataset, 4, seed=0), 40)
        ]
        assert len(set(numbers)) == 40
        assert numbers[9] == generator('augmentation', 0, 9).random()

    def test_built_data_sets_and_wrong_ones(self, roots, tmp_path):
        assert len(MultiSourceDataset([VolumeDetDataset(roots[0])])) == 3
        with pytest.raises(ValueError, match='at least one'):
            MultiSourceDataset([])
        other = write_scans(tmp_path / 'c', 'z', classes=('mass',))
        with pytest.raises(ValueError, match=r"source 1 has the classes \('mass',\), source 0"):
            MultiSourceDataset([source(roots[0]), source(other)])

    def test_scans_without_annotations_take_any_classes(self, roots, tmp_path):
        named = dict(metainfo=dict(classes=('nodule',)))
        other = write_scans(tmp_path / 'c', 'z', annotated=False, classes=('lesion',))
        dataset = MultiSourceDataset([source(roots[0]), source(other, **named)])
        assert [part.metainfo['classes'] for part in dataset.datasets] == [('nodule',)] * 2
        other = write_scans(tmp_path / 'd', 'z', classes=('lesion',))
        with pytest.raises(ValueError, match='change one of the two'):
            MultiSourceDataset([source(roots[0]), source(other, **named)])


@pytest.fixture
def loader_config(tmp_path):
    """The training data of a base config on 3 labeled scans and 4 of another index."""
    roots = write_scans(tmp_path / 'a', 'abc'), write_scans(tmp_path / 'b', 'wxyz', False)

    def make(name='phantom', **options):
        config = Config.fromfile(CONFIGS / f'focalmix/retina3d_fpn_{name}.py')
        for part, root in zip(('labeled', 'unlabeled'), roots, strict=True):
            config.merge_from_dict(
                {
                    f'train_dataloader.dataset.datasets.{part}.{key}': value
                    for key, value in dict(
                        data_root=root, split=None, subsets=None, type='VolumeDetDataset'
                    ).items()
                }
            )
        config.merge_from_dict(options)
        init_default_scope('mmdet3d_medical')
        return config

    return make


def build_loader(config):
    return Runner.build_dataloader(config.train_dataloader, seed=0)


def positions(batch):
    """Scan, draw number and first voxel of each sample of a batch."""
    samples = [sample for branch in batch['data_samples'].values() for sample in branch if sample]
    volumes = [
        volume for branch in batch['inputs'].values() for volume in branch if volume is not None
    ]
    return [
        (sample.scan_id, sample.draw.number, sample.geometry.origin, volume.sum().item())
        for sample, volume in zip(samples, volumes, strict=True)
    ]


@pytest.mark.parametrize('name, number, side', [('phantom', 4, 32), ('luna16', 1, 64)])
def test_batch_of_the_base_configs(name, number, side, loader_config):
    config = loader_config(name)
    if name == 'luna16':
        config = shrink(config)  # 8 + 8 patches of 160 voxels become 1 + 1 of 64
    batch = next(iter(build_loader(config)))
    sup, unsup = batch['inputs']['sup'], batch['inputs']['unsup']
    assert [x is None for x in sup] == [False] * number + [True] * number
    assert [x is None for x in unsup] == [True] * number + [False] * number
    assert sup[0].shape == unsup[-1].shape == (1, side, side, side)
    names = [sample.scan_id for sample in batch['data_samples']['unsup'][number:]]
    assert set(names) <= set('wxyz')
    assert not any(sample.annotated for sample in batch['data_samples']['unsup'][number:])


def test_branch_in_use(loader_config):
    dataset = build_loader(loader_config()).dataset
    for index, name in ((2, 'c'), (3, 'w')):
        sample = branch_in_use(dataset[index])
        assert sample['data_samples'].scan_id == name and sample['inputs'].ndim == 4
    assert branch_in_use(sample) is sample


@pytest.mark.parametrize('kind', ['BranchDataPreprocessor', 'mmdet.MultiBranchDataPreprocessor'])
def test_preprocessed_batch(kind, loader_config):
    batch = next(iter(build_loader(loader_config())))
    preprocessor = MODELS.build(
        dict(type=kind, data_preprocessor=dict(type='VolumeDataPreprocessor', pad_size_divisor=20))
    )
    batch = preprocessor(batch, training=True)
    for branch, scans in (('sup', 'abc'), ('unsup', 'wxyz')):
        assert batch['inputs'][branch].shape == (4, 1, 40, 40, 40)
        assert batch['inputs'][branch].dtype == torch.float32
        samples = batch['data_samples'][branch]
        assert {sample.scan_id for sample in samples} <= set(scans)
        assert samples[0].batch_input_shape == (40, 40, 40)
    # Annotations of unlabeled scans are there, for diagnostics.
    assert sum(len(sample.gt_instances) for sample in batch['data_samples']['unsup']) > 0


def test_unlabeled_patches_do_not_depend_on_annotations(loader_config, tmp_path):
    def batches(instances):
        index = read_index(tmp_path / 'b' / 'index.json')
        for scan in index['scans']:
            scan['instances'] = instances
        write_index(tmp_path / 'b' / 'index.json', index)
        return list(itertools.islice(build_loader(loader_config()), 3))

    lesion = dict(center=[1.0, 1.0, 1.0], diameter=2.0)
    with_some, without = batches([lesion, lesion]), batches([])
    assert [positions(batch) for batch in with_some] == [positions(batch) for batch in without]
    counts = [
        sum(
            len(sample.gt_instances)
            for batch in part
            for sample in batch['data_samples']['unsup']
            if sample
        )
        for part in (with_some, without)
    ]
    assert counts[0] > 0 == counts[1]


@pytest.mark.parametrize('workers', [0, 2])
def test_resumed_loading_goes_on_with_the_same_samples(workers, loader_config):
    config = loader_config(**{'train_dataloader.num_workers': workers})
    uninterrupted = _InfiniteDataloaderIterator(build_loader(config))
    expected = [positions(next(uninterrupted)) for _ in range(5)]
    resumed = _InfiniteDataloaderIterator(build_loader(config))
    resumed.skip_iter(3)
    assert [positions(next(resumed)) for _ in range(2)] == expected[3:]
    numbers = [number for batch in expected for _, number, _, _ in batch]
    assert numbers == list(range(40))
