"""DICOM folders whose series ids are blank, or the same in several folders."""

import numpy as np
import pytest

from mmdet3d_medical.datasets.index import read_index

from .dicom_series import convert, make_voxels, only_row, rows_of, write_series

FOLDERS = ('a/x', 'a/y', 'b')


def write_folders(root, series, names=FOLDERS, **tags):
    """The same ids in each folder, other voxels."""
    for seed, name in enumerate(names):
        write_series(root / name, make_voxels(seed), SeriesInstanceUID=series, **tags)


@pytest.mark.parametrize('series', ['', None, 'no id', '1.2.3'])
def test_each_folder_is_a_series(tmp_path, series):
    write_folders(tmp_path / 'in', series)
    report = convert(tmp_path / 'in', tmp_path / 'out', by_folder=True)
    assert report.scans == 3 and not report.failures
    scans = read_index(tmp_path / 'out/index.json')['scans']
    assert [scan['scan_id'] for scan in scans] == ['a_x', 'a_y', 'b']
    assert len({scan['patient'] for scan in scans}) == 1
    for seed, scan in enumerate(scans):
        volume = np.load(tmp_path / 'out' / scan['volume'])
        np.testing.assert_array_equal(volume, make_voxels(seed))


def test_series_with_ids_of_their_own_keep_them(tmp_path):
    write_folders(tmp_path / 'in', '', ['blank'])
    write_series(tmp_path / 'in/own', make_voxels(5), '1.7')
    convert(tmp_path / 'in', tmp_path / 'out', by_folder=True)
    rows = rows_of(tmp_path / 'out')
    assert {name: row['result'] for name, row in rows.items()} == dict.fromkeys(
        ['1.7', 'blank'], 'converted'
    )


def test_files_beside_each_other_are_named_after_the_folder(tmp_path):
    write_folders(tmp_path / 'in', '', ['.'])
    convert(tmp_path / 'in', tmp_path / 'out', by_folder=True)
    assert list(rows_of(tmp_path / 'out')) == ['in']


def test_blank_ids_name_the_option(tmp_path):
    write_folders(tmp_path / 'in', '')
    with pytest.raises(ValueError, match='no series id: 0 series, 18 files.*--series-by-folder'):
        convert(tmp_path / 'in', tmp_path / 'out')
    (row,) = rows_of(tmp_path / 'out').values()
    assert row['reason'] == 'no series id' and '--series-by-folder' in row['detail']


def test_shared_ids_name_the_option(tmp_path):
    write_folders(tmp_path / 'in', '1.2.3', SOPInstanceUID=None)
    row = only_row(tmp_path)
    assert row['reason'] == 'duplicate slices'
    assert row['detail'].endswith('in 3 folders: --series-by-folder takes each as a series')


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        (['a/b', 'a_b'], "'a_b', which is the id of another series: rename the folder"),
        (['=1'], "'=1', which begins with =, as a formula does: rename the folder"),
    ],
)
def test_folders_that_cannot_be_named(tmp_path, names, message):
    write_folders(tmp_path / 'in', '', names)
    with pytest.raises(ValueError, match=message):
        convert(tmp_path / 'in', tmp_path / 'out', by_folder=True)
