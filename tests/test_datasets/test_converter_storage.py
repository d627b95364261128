"""Conversions to compressed volumes, and from one storage to the other."""

import json
import pickle
import sys

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from mmdet3d_medical.cli.convert_luna16 import main
from mmdet3d_medical.cli.main import parse
from mmdet3d_medical.datasets import Draw, VolumeDetDataset, read_index
from mmdet3d_medical.datasets.converters import ConvertSettings, VolumeCache, convert_luna16
from mmdet3d_medical.datasets.storage import STORAGES
from mmdet3d_medical.datasets.transforms.loading import open_volume
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.errors import UsageError

SCANS = ('flipped', 'sagittal', 'straight', 'turned')
PLAIN, COMPRESSED = (ConvertSettings(spacing=(1, 1, 1), storage=name) for name in STORAGES)
PIPELINE = [
    dict(type='LoadVolume'),
    dict(type='RandomResizedCrop3D', size=(20, 20, 20), scale_range=(0.8, 1.3)),
    dict(type='RandomFlip3D'),
    dict(type='RandomGaussianNoise'),
    dict(type='PackVolumeInputs'),
]


@pytest.fixture
def blosc2():
    return pytest.importorskip('blosc2')


def voxels_of(out):
    found = {}
    for scan in read_index(out / 'index.json')['scans']:
        geometry = VolumeGeometry.from_dict(scan['geometry'])
        path = str(out / scan['volume'])
        found[scan['scan_id']] = np.array(open_volume(path, geometry, scan['scan_id']))
    return found


def names(out):
    return sorted(path.name for path in (out / 'volumes').iterdir())


def files_of(suffix):
    return sorted(f'{scan}.{end}' for scan in SCANS for end in ('json', suffix))


def same(one, two):
    return one.keys() == two.keys() and all(np.array_equal(one[key], two[key]) for key in one)


def test_the_voxels_and_lesions_are_those_of_the_plain_volumes(luna16_dir, tmp_path, blosc2):
    convert_luna16(luna16_dir, tmp_path / 'plain', PLAIN)
    convert_luna16(luna16_dir, tmp_path / 'small', COMPRESSED)
    assert names(tmp_path / 'plain') == files_of('npy')
    assert names(tmp_path / 'small') == files_of('b2nd')
    assert same(voxels_of(tmp_path / 'plain'), voxels_of(tmp_path / 'small'))
    plain, small = (read_index(tmp_path / name / 'index.json') for name in ('plain', 'small'))
    assert plain['settings'].pop('storage') == 'npy'
    assert small['settings'].pop('storage') == 'blosc2'
    for scan in small['scans']:
        scan['volume'] = scan['volume'].replace('.b2nd', '.npy')
    assert small == plain


def test_processes_of_a_converter_can_be_given_the_cache(tmp_path, blosc2):
    cache = pickle.loads(pickle.dumps(VolumeCache(tmp_path / 'out', COMPRESSED)))
    assert cache.volume_path('a') == tmp_path / 'out/volumes/a.b2nd'


def test_training_sees_the_same_patches(luna16_dir, tmp_path, blosc2):
    items = []
    for settings in (PLAIN, COMPRESSED):
        out = tmp_path / settings.storage
        convert_luna16(luna16_dir, out, settings)
        data = VolumeDetDataset(data_root=str(out), pipeline=PIPELINE)
        items.append([data[Draw(number % 4, number)] for number in range(12)])
    for plain, small in zip(*items, strict=True):
        assert torch.equal(plain['inputs'], small['inputs'])
        boxes = [item['data_samples'].gt_instances.bboxes for item in (plain, small)]
        assert torch.equal(*boxes)


@pytest.mark.parametrize('order', [(PLAIN, COMPRESSED), (COMPRESSED, PLAIN)])
def test_the_other_storage_is_written_anew_and_takes_the_place(luna16_dir, tmp_path, blosc2, order):
    before, after = order
    convert_luna16(luna16_dir, tmp_path / 'out', before)
    voxels = voxels_of(tmp_path / 'out')
    convert_luna16(luna16_dir, tmp_path / 'out', after)
    assert same(voxels_of(tmp_path / 'out'), voxels)
    assert names(tmp_path / 'out') == files_of(STORAGES[after.storage].suffix[1:])


def test_a_volume_left_by_the_other_storage_is_not_taken(luna16_dir, tmp_path, blosc2):
    """Plain, then compressed from changed scans, then plain again, with the old file there."""
    convert_luna16(luna16_dir, tmp_path / 'out', PLAIN)
    old = (tmp_path / 'out/volumes/straight.npy').read_bytes()
    scan = str(luna16_dir / 'subset0/straight.mhd')
    sitk.WriteImage(sitk.ReadImage(scan) + 7, scan)
    convert_luna16(luna16_dir, tmp_path / 'out', COMPRESSED)
    (tmp_path / 'out/volumes/straight.npy').write_bytes(old)
    convert_luna16(luna16_dir, tmp_path / 'out', PLAIN)
    found = voxels_of(tmp_path / 'out')['straight']
    geometry = VolumeGeometry.from_dict(
        json.loads((tmp_path / 'out/volumes/straight.json').read_text())['geometry']
    )
    (tmp_path / 'old.npy').write_bytes(old)
    before = open_volume(str(tmp_path / 'old.npy'), geometry, 'straight')
    np.testing.assert_array_equal(found, before + 7)


def test_second_run_changes_nothing(luna16_dir, tmp_path, blosc2):
    convert_luna16(luna16_dir, tmp_path / 'out', COMPRESSED)
    files = sorted((tmp_path / 'out/volumes').iterdir())
    before = [path.stat().st_mtime_ns for path in files]
    convert_luna16(luna16_dir, tmp_path / 'out', COMPRESSED)
    assert [path.stat().st_mtime_ns for path in files] == before


def test_cut_volumes_are_made_again(luna16_dir, tmp_path, blosc2):
    convert_luna16(luna16_dir, tmp_path / 'out', COMPRESSED)
    path = tmp_path / 'out/volumes/turned.b2nd'
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    convert_luna16(luna16_dir, tmp_path / 'out', COMPRESSED)
    assert path.read_bytes() == whole


def test_an_interrupted_conversion_leaves_what_was_there(luna16_dir, tmp_path, monkeypatch, blosc2):
    """In the middle of the third file: it is gone, and the old index names volumes that are."""
    convert_luna16(luna16_dir, tmp_path / 'out', PLAIN)
    before, written = voxels_of(tmp_path / 'out'), []
    whole = STORAGES['blosc2']

    def write(path, voxels):
        whole.write(path, voxels)
        written.append(path.name)
        if len(written) == 3:
            path.write_bytes(path.read_bytes()[:500])
            raise KeyboardInterrupt

    monkeypatch.setitem(STORAGES, 'blosc2', whole._replace(write=write))
    with pytest.raises(KeyboardInterrupt):
        convert_luna16(luna16_dir, tmp_path / 'out', COMPRESSED)
    assert same(voxels_of(tmp_path / 'out'), before)
    assert names(tmp_path / 'out') == sorted([*files_of('npy'), *written[:2]])
    monkeypatch.setitem(STORAGES, 'blosc2', whole)
    convert_luna16(luna16_dir, tmp_path / 'out', COMPRESSED)
    assert same(voxels_of(tmp_path / 'out'), before)
    assert names(tmp_path / 'out') == files_of('b2nd')


def test_a_missing_package_is_told_before_anything_is_written(luna16_dir, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'blosc2', None)
    with pytest.raises(UsageError, match=r'pip install "mmdet3d_medical\[blosc2\]"'):
        convert_luna16(luna16_dir, tmp_path / 'out', COMPRESSED)
    assert not (tmp_path / 'out').exists()


def test_other_names_are_refused():
    with pytest.raises(ValueError, match=r"storage must be one of \['npy', 'blosc2'\], found 'zar"):
        ConvertSettings(storage='zarr')


def test_the_option_of_a_command(luna16_dir, tmp_path, blosc2):
    arguments = [str(luna16_dir), '--out', str(tmp_path / 'out'), '--storage', 'blosc2']
    assert main(parse('convert-luna16', [*arguments, '--workers', '1'])) == 0
    assert names(tmp_path / 'out') == files_of('b2nd')
