"""The data set: selection, items, randomness by draw, the runner's data loader."""

import itertools
import pickle
import warnings

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.runner.loops import _InfiniteDataloaderIterator
from torch.utils.data import DataLoader

from mmdet3d_medical.datasets import Draw, InfiniteDrawSampler, LUNA16Dataset, VolumeDetDataset
from mmdet3d_medical.datasets.converters import ConvertSettings, convert_luna16
from mmdet3d_medical.datasets.index import read_index, write_index
from mmdet3d_medical.registry import DATASETS
from mmdet3d_medical.structures import VolumeGeometry

PIPELINE = [
    dict(type='LoadVolume'),
    dict(type='RandomCrop3D', size=(12, 16, 16)),
    dict(type='RandomFlip3D'),
    dict(type='RandomGaussianNoise'),
    dict(type='PackVolumeInputs'),
]


@pytest.fixture
def data_root(luna16_dir, tmp_path):
    convert_luna16(luna16_dir, tmp_path / 'data', ConvertSettings())
    return str(tmp_path / 'data')


def ids(dataset):
    return [dataset.get_data_info(i)['scan_id'] for i in range(len(dataset))]


def test_item_without_a_pipeline(data_root):
    dataset = DATASETS.build(dict(type='VolumeDetDataset', data_root=data_root))
    assert len(dataset) == 4 and dataset.metainfo['classes'] == ('nodule',)
    item = dataset[0]
    assert item['scan_id'] == 'flipped' and item['subset'] == 1 and item['annotated']
    assert isinstance(item['geometry'], VolumeGeometry)
    assert np.load(item['volume_path']).shape == item['geometry'].shape
    assert item['instances'][0]['diameter'] == 10


def test_selection_by_split_and_subset(data_root, tmp_path):
    assert ids(VolumeDetDataset(data_root, split=['turned', 'flipped'])) == ['turned', 'flipped']
    (tmp_path / 'data/some.txt').write_text('turned\nsagittal\n')
    assert ids(VolumeDetDataset(data_root, split='some.txt')) == ['turned', 'sagittal']
    assert ids(VolumeDetDataset(data_root, split='some.txt', subsets=[0])) == ['turned']
    assert ids(LUNA16Dataset(data_root, subsets=[1])) == ['flipped', 'sagittal']


def test_the_first_scans_of_a_selection(data_root):
    split = ['turned', 'flipped', 'sagittal']
    assert ids(VolumeDetDataset(data_root, split=split, indices=1)) == ['turned']
    assert ids(VolumeDetDataset(data_root, split=split, indices=[1, 2])) == ['flipped', 'sagittal']


def test_items_hold_what_the_index_says(data_root):
    dataset = VolumeDetDataset(data_root, split=['turned', 'flipped'])
    scans = {scan['scan_id']: scan for scan in read_index(f'{data_root}/index.json')['scans']}
    for position, scan_id in enumerate(['turned', 'flipped']):
        scan = scans[scan_id]
        assert dataset.get_data_info(position) == dict(
            scan_id=scan_id,
            subset=scan['subset'],
            volume_path=f'{data_root}/{scan["volume"]}',
            geometry=VolumeGeometry.from_dict(scan['geometry']),
            annotated=scan['annotated'],
            instances=scan['instances'],
            sample_idx=position,
        )
    assert list(dataset.scans) == [scans['turned'], scans['flipped']]


def test_parts_and_copies_of_a_data_set(data_root):
    whole = VolumeDetDataset(data_root, lazy_init=True)
    names = ids(whole)
    assert len(whole.scans) == 4
    assert ids(whole.get_subset([3, 1])) == [names[3], names[1]]
    assert ids(whole.get_subset(2)) == names[:2]
    assert ids(pickle.loads(pickle.dumps(whole))) == names  # as processes of a loader get it
    whole.get_data_info(0)['instances'].clear()
    assert whole.get_data_info(0)['instances']


def test_only_volumes_of_selected_scans_must_lie_inside(data_root):
    index = read_index(f'{data_root}/index.json')
    index['scans'][0]['volume'] = '../secret.npy'  # of 'flipped'
    write_index(f'{data_root}/index.json', index)
    assert len(VolumeDetDataset(data_root, split=['turned'])) == 1
    assert len(VolumeDetDataset(data_root, allow_outside=True)) == 4
    with pytest.raises(ValueError, match='flipped: the volume .* lies outside'):
        VolumeDetDataset(data_root)


def test_subsets_of_a_base_tell_which_key_to_set(data_root):
    with pytest.raises(ValueError, match=r'have subsets \[0, 1\]: set subsets=None'):
        VolumeDetDataset(data_root, subsets=[7, 8])
    index = read_index(f'{data_root}/index.json')
    for scan in index['scans']:
        scan.pop('subset')
    write_index(f'{data_root}/index.json', index)
    with pytest.raises(ValueError, match='have no subsets: set subsets=None .* --folds K'):
        VolumeDetDataset(data_root, subsets=[7, 8])


def test_a_missing_list_names_both_ways_on(data_root):
    with pytest.raises(FileNotFoundError, match='lost.txt: .*make-splits .*test --data'):
        VolumeDetDataset(data_root, split='lost.txt')


def test_wrong_selections_are_refused(data_root):
    with pytest.raises(ValueError, match="1 scans of the split.*the first is 'lost'"):
        VolumeDetDataset(data_root, split=['turned', 'lost'])
    with pytest.raises(ValueError, match="1 scans are repeated in the split.*is 'turned'"):
        VolumeDetDataset(data_root, split=['turned', 'flipped', 'turned'])
    with pytest.raises(FileNotFoundError, match='make-splits'):
        VolumeDetDataset(data_root, split='lost.txt')
    with pytest.raises(FileNotFoundError, match='make-splits .*index.json --labeled 25; to test'):
        VolumeDetDataset(data_root, split='splits/labeled_25.txt')
    with pytest.raises(ValueError, match=r'no scan is selected by subsets=\[7\]'):
        VolumeDetDataset(data_root, subsets=[7])
    with pytest.raises(ValueError, match=r'no scans of the subsets \[7\]'):
        LUNA16Dataset(data_root, subsets=[0, 7])
    with pytest.raises(ValueError, match="classes .*'nodule'.*'cyst'"):
        VolumeDetDataset(data_root, metainfo=dict(classes=('cyst',)))


def test_augmentation_depends_on_seed_and_draw_only(data_root):
    def inputs(draw, seed=0):
        return VolumeDetDataset(data_root, pipeline=PIPELINE, seed=seed)[draw]['inputs']

    first = inputs(Draw(2, 5))
    assert torch.equal(first, inputs(Draw(2, 5)))
    assert not torch.equal(first, inputs(Draw(2, 6)))
    assert not torch.equal(first, inputs(Draw(2, 5), seed=1))
    assert torch.equal(inputs(3), inputs(Draw(3, 3)))


def test_training_without_draws_warns_once(data_root):
    def warned(indices, **kwargs):
        dataset = VolumeDetDataset(data_root, **kwargs)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            for index in indices:
                dataset[index]
        return [str(one.message) for one in caught if 'InfiniteDrawSampler' in str(one.message)]

    assert len(warned([0, 1, 0])) == 1
    assert warned([Draw(0, 0), Draw(1, 1)]) == warned([0, 1], test_mode=True) == []


def test_lesions_stay_in_place_through_the_pipeline(data_root):
    dataset = VolumeDetDataset(data_root, pipeline=PIPELINE)
    centers = {
        info['scan_id']: info['instances'][0]['center']
        for info in map(dataset.get_data_info, range(4))
    }
    found = 0
    for number in range(24):
        sample = dataset[Draw(number % 4, number)]['data_samples']
        boxes = sample.gt_instances.bboxes.numpy()
        world, sizes = sample.geometry.box_to_world(boxes)
        expected = np.tile(centers[sample.scan_id], (len(boxes), 1))
        np.testing.assert_allclose(world, expected, atol=1e-3)
        np.testing.assert_allclose(sizes, 10, atol=1e-3)
        found += len(boxes)
    assert found >= 12  # half of the patches are drawn on the lesion


def resumed(dataset, skipped, workers):
    loader = DataLoader(
        dataset,
        2,
        sampler=InfiniteDrawSampler(dataset, seed=1),
        num_workers=workers,
        collate_fn=pseudo_collate,
    )
    iterator = _InfiniteDataloaderIterator(loader)
    iterator.skip_iter(skipped)
    return [batch['inputs'] for batch in itertools.islice(iterator, 3)]


@pytest.mark.parametrize('workers', [0, 1])
def test_resumed_training_sees_the_same_batches(data_root, workers):
    dataset = VolumeDetDataset(data_root, pipeline=PIPELINE)
    whole, rest = resumed(dataset, 0, 0), resumed(dataset, 2, workers)
    assert all(torch.equal(a, b) for a, b in zip(whole[2], rest[0], strict=True))
    assert not torch.equal(whole[0][0], rest[0][0])
