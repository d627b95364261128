"""Compressed volumes: the voxels of the plain ones, and what goes wrong with their files."""

import copy
import os
import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet3d_medical.datasets.check.scans import check_scans
from mmdet3d_medical.datasets.storage import STORAGES, CompressedVolume, b2nd
from mmdet3d_medical.datasets.transforms.crop import read_region
from mmdet3d_medical.datasets.transforms.loading import open_volume
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.errors import UsageError

blosc2 = pytest.importorskip('blosc2')

AXES = (1, 0, 0, 0, 1, 0, 0, 0, 1)
AIR = -1024


def geometry(shape):
    return VolumeGeometry((0, 0, 0), (1, 1, 1), AXES, shape)


def write_both(folder, voxels):
    """The volume by each storage, opened."""
    opened = []
    for storage in STORAGES.values():
        path = folder / f'a{storage.suffix}'
        storage.write(path, voxels)
        opened.append(open_volume(str(path), geometry(voxels.shape), 'a'))
    return opened


def noise(shape, seed=0):
    """Voxels of int16's whole range, in which neighbors are alike in one half."""
    rng = np.random.default_rng(seed)
    voxels = rng.integers(-(2**15), 2**15, shape).astype(np.int16)
    voxels[: shape[0] // 2] >>= 8
    return voxels


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('storage')


@pytest.fixture
def path(tmp_path):
    """A file of several chunks."""
    STORAGES['blosc2'].write(tmp_path / 'a.b2nd', noise((70, 40, 66)))
    return tmp_path / 'a.b2nd'


@st.composite
def crops(draw):
    """Shape of a volume, and a crop of it that may lie partly, but not wholly outside."""
    shape = draw(st.tuples(*[st.integers(1, 70)] * 3))
    size = draw(st.tuples(*[st.integers(1, 40)] * 3))
    start = [
        draw(st.integers(1 - extent, length - 1))
        for extent, length in zip(size, shape, strict=True)
    ]
    return shape, np.array(start), np.array(size)


@settings(max_examples=60, deadline=None)
@given(crops(), st.integers(0, 9))
def test_crops_are_those_of_the_plain_volume(folder, case, seed):
    shape, start, size = case
    voxels = noise(shape, seed)
    plain, compressed = write_both(folder, voxels)
    assert isinstance(compressed, CompressedVolume) and compressed.dtype == np.int16
    found = read_region(compressed[None], start, size, AIR)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, read_region(plain[None], start, size, AIR))
    # A way of its own to the same: the volume in air, which is then cut.
    around = np.pad(voxels, [(40, 40)] * 3, constant_values=AIR)
    cut = around[tuple(slice(a + 40, a + 40 + n) for a, n in zip(start, size, strict=True))]
    np.testing.assert_array_equal(found[0], cut)


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.slices(33) | st.integers(0, 32) | st.just(slice(None))] * 3))
def test_any_index_gives_what_it_gives_of_an_array(folder, key):
    voxels = noise((33, 33, 33))
    _, compressed = write_both(folder, voxels)
    np.testing.assert_array_equal(compressed[key], voxels[key])
    _, compressed = write_both(folder, voxels)
    whole = (slice(0, 1), *key)
    np.testing.assert_array_equal(compressed[None][whole], voxels[None][whole])


@pytest.mark.parametrize(
    'use',
    [
        lambda v: v[..., 1],
        lambda v: v[::-2, :, ::3],
        lambda v: v[None, :, 4],
        lambda v: v[v > 100],
        lambda v: np.flip(v, [0, 2]),
        lambda v: v.transpose(2, 0, 1),
        lambda v: v.astype(np.float32) * 0.5,
        lambda v: (v != 3) & (v - 1 < np.float32(7)),
        lambda v: np.moveaxis(v, 2, 0)[1],
        lambda v: (v.min(), v.size, len(v), v.ndim),
        lambda v: torch.from_numpy(np.ascontiguousarray(v)),
        lambda v: copy.deepcopy(v)[2:5],
        lambda v: pickle.loads(pickle.dumps(v[None])),
        lambda v: np.array(v, np.int32),
        lambda v: np.stack([plane.sum() for plane in v]),
    ],
)
def test_it_is_used_as_an_array(tmp_path, use):
    voxels = noise((36, 10, 8))
    _, compressed = write_both(tmp_path, voxels)
    np.testing.assert_array_equal(use(compressed), use(voxels))


def test_writing_does_not_reach_the_file(path):
    before, voxels = path.read_bytes(), noise((70, 40, 66))
    volume = open_volume(str(path), geometry(voxels.shape), 'a')[None]
    volume[0, :, 3] = 7
    volume += np.int16(1)
    voxels[:, 3] = 7
    np.testing.assert_array_equal(volume[0], voxels + np.int16(1))
    assert path.read_bytes() == before


def test_a_crop_reads_that_crop_alone():
    class File:
        shape, dtype, asked = (9, 8, 7), np.dtype(np.int16), []

        def read(self, region):
            self.asked.append(region)
            return np.zeros([part.stop - part.start for part in region], self.dtype)

    volume = CompressedVolume(File())[None]
    assert volume.shape == (1, 9, 8, 7)
    assert volume[:, 2:5, -3:, :4].shape == (1, 3, 3, 4)
    assert volume[:, 5:5, :, :].shape == (1, 0, 8, 7)
    assert File.asked == [(slice(2, 5), slice(5, 8), slice(0, 4))]


def threads():
    return len(os.listdir('/proc/self/task'))


@pytest.mark.skipif(not os.path.isdir('/proc/self/task'), reason='counts threads as Linux does')
def test_one_thread_writes_and_reads(tmp_path):
    voxels, default = noise((130, 130, 130)), blosc2.set_nthreads(4)
    before = threads()
    try:
        _, compressed = write_both(tmp_path, voxels)
        np.testing.assert_array_equal(compressed[1:129, 1:129, 1:129], voxels[1:129, 1:129, 1:129])
        assert threads() == before
    finally:
        blosc2.set_nthreads(default)


class Crops(torch.utils.data.Dataset):
    """Crops of a volume that was opened before the processes that read them were there."""

    def __init__(self, volume):
        self.volume = volume

    def __len__(self):
        return 12

    def __getitem__(self, number):
        crop = self.volume[4 * number : 4 * number + 20, 3:40, 10:60]
        return torch.from_numpy(np.array(crop))


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork')
def test_an_open_volume_is_read_after_a_fork(path):
    voxels = noise((70, 40, 66))
    volume = open_volume(str(path), geometry(voxels.shape), 'a')
    many = blosc2.asarray(voxels, cparams=dict(nthreads=2), dparams=dict(nthreads=2))
    np.testing.assert_array_equal(many[:], voxels)  # leaves threads of blosc2 behind
    volume[:9, :9, :9]
    loader = torch.utils.data.DataLoader(
        Crops(volume), batch_size=None, num_workers=2, multiprocessing_context='fork', timeout=60
    )
    found, expected = list(loader), Crops(voxels)
    assert len(found) == 12
    assert all(torch.equal(crop, expected[number]) for number, crop in enumerate(found))


def test_the_same_voxels_give_the_same_bytes():
    voxels = noise((40, 40, 40))
    assert b2nd.compress(voxels) == b2nd.compress(voxels[::-1][::-1])


def test_places_with_odd_names(tmp_path):
    """blosc2 takes some paths for addresses, or for parts of archives."""
    for name in ('data.zarr', 'a.h5', 'zip:::x', 'ä b'):
        folder = tmp_path / name
        folder.mkdir()
        _, compressed = write_both(folder, noise((5, 6, 7)))
        np.testing.assert_array_equal(compressed, noise((5, 6, 7)))


@pytest.mark.tried(
    'data set', 'a compressed volume cut off, or with more behind it', 'error with the file'
)
@pytest.mark.parametrize('kept', [0, 1, 15, 90, 1000, 0.5, 0.99, -300, -1])
def test_cut_files_are_refused(path, kept):
    content = path.read_bytes()
    length = int(kept * len(content)) if isinstance(kept, float) else kept
    path.write_bytes(content[:length])
    with pytest.raises(ValueError, match='scan a: .*a.b2nd is not a readable .*convert the data'):
        open_volume(str(path), geometry((70, 40, 66)), 'a')


def test_other_content_is_refused(path):
    whole = path.read_bytes()
    chunks = blosc2.SChunk(data=np.zeros(9, np.int16)).to_cframe()
    for content in (whole + b'more', whole + whole, chunks):
        path.write_bytes(content)
        with pytest.raises(ValueError, match='scan a: .*a.b2nd is not a volume as the converters'):
            open_volume(str(path), geometry((70, 40, 66)), 'a')
    path.write_bytes(b2nd.compress(noise((5, 6, 7)).astype(np.float32)))
    with pytest.raises(ValueError, match=r'float32 of shape \(5, 6, 7\), expected int16 of'):
        open_volume(str(path), geometry((5, 6, 7)), 'a')
    path.write_bytes(b2nd.compress(noise((5, 6, 7))))
    with pytest.raises(ValueError, match=r'int16 of shape \(5, 6, 7\), expected int16 of shape'):
        open_volume(str(path), geometry((5, 6, 8)), 'a')


def first_chunk(content):
    """Where it begins: behind the header, whose length a file tells."""
    return int.from_bytes(content[11:15], 'big')


def test_blocks_that_cannot_be_read_name_the_file(path):
    content = bytearray(path.read_bytes())
    begin = first_chunk(content)
    content[begin + 32 : begin + 64] = b'\xff' * 32  # where the blocks of the first chunk begin
    path.write_bytes(content)
    volume = open_volume(str(path), geometry((70, 40, 66)), 'a')
    with pytest.raises(ValueError, match='a.b2nd is damaged .*convert the data again'):
        volume[:9, :9, :9]
    np.testing.assert_array_equal(  # of another chunk
        volume[66:, :, 64:], noise((70, 40, 66))[66:, :, 64:]
    )


@pytest.mark.tried(
    'data set', 'one damaged byte in a compressed volume', 'error of `check-dataset`'
)
def test_damaged_voxels_are_found_where_all_are_read(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match='a.b2nd is damaged'):
        np.asarray(open_volume(str(path), geometry((70, 40, 66)), 'a'))
    scan = dict(
        scan_id='a', volume='a.b2nd', geometry=geometry((70, 40, 66)).to_dict(),
        annotated=True, instances=[],
    )  # fmt: skip
    (problem,) = (p for p in check_scans([scan], path.parent) if p.kind == 'unreadable')
    assert problem.level == 'error' and 'a.b2nd is damaged' in problem.message


@pytest.mark.parametrize('package', [None, SimpleNamespace(__version__='2.7.1')])
def test_the_missing_package_is_named(path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, 'blosc2', package)
    with pytest.raises(UsageError, match=r'blosc2.*pip install "mmdet3d_medical\[blosc2\]"'):
        open_volume(str(path), geometry((70, 40, 66)), 'a')
