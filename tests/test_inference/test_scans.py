"""What is found at paths, and what is said about the rest."""

import zipfile

import numpy as np
import pytest
import SimpleITK as sitk

from mmdet3d_medical.inference.scans import find_scans, scan_in_memory
from mmdet3d_medical.structures import VolumeGeometry
from tests.test_datasets import dicom_series

from .conftest import make_image

LONG = (12, 10, 8)


def voxels(seed=0):
    return np.random.default_rng(seed).integers(-1000, 1500, LONG).astype(np.int16)


def places(step):
    return dicom_series.positions(count=LONG[0], step=step)


@pytest.fixture
def scratch(tmp_path):
    (tmp_path / 'scratch').mkdir()
    return tmp_path / 'scratch'


def ids(found):
    return [scan.scan_id for scan in found.scans]


def test_files_in_a_folder_without_masks(tmp_path, image, scratch):
    (tmp_path / 'in/below').mkdir(parents=True)
    (tmp_path / 'in/out').mkdir()
    (tmp_path / 'in/out/run.json').write_text('{}')  # of an earlier run
    masks = 'a_seg.mha', 'a_segmentation.nii.gz', 'b-label.nrrd', 'out/findings.nii.gz'
    for name in ('b.nii.gz', 'a.mha', 'below/c.nrrd', *masks):
        sitk.WriteImage(image, str(tmp_path / 'in' / name))
    (tmp_path / 'in/notes.txt').write_text('x')
    found = find_scans([tmp_path / 'in'], scratch)
    assert ids(found) == ['a', 'b', 'c'] and not found.refused


@pytest.mark.tried('predict', 'two scans of one name', 'the second fails: rename one')
def test_file_named_twice_is_one_scan_and_two_of_a_name_are_told(tmp_path, image, scratch):
    for folder in ('x', 'y'):
        (tmp_path / folder).mkdir()
        sitk.WriteImage(image, str(tmp_path / folder / 'a.mha'))
    found = find_scans([tmp_path / 'x/a.mha', tmp_path / 'x', tmp_path / 'y'], scratch)
    assert ids(found) == ['a']
    (message,) = found.refused.values()
    assert 'y/a.mha: would be the scan a, as' in message and 'rename one' in message


@pytest.mark.parametrize('direction', [np.eye(3), [[0, 0, 1], [1, 0, 0], [0, 1, 0]]])
def test_geometry_is_that_of_the_file_as_it_is(tmp_path, scratch, direction):
    image = make_image(direction)
    sitk.WriteImage(image, str(tmp_path / 'a.mha'))
    (scan,) = find_scans([tmp_path / 'a.mha'], scratch).scans
    expected = VolumeGeometry.from_sitk(image)
    assert scan.geometry.shape == expected.shape
    np.testing.assert_allclose(scan.geometry.direction, expected.direction)
    np.testing.assert_allclose(scan.geometry.origin, expected.origin)


def test_dicom_folder_and_archive_are_the_same_scan(tmp_path, scratch):
    paths = dicom_series.write_series(tmp_path / 'in', voxels(), places=places(2.5))
    with zipfile.ZipFile(tmp_path / 'patient.zip', 'w') as archive:
        for path in paths:
            archive.write(path, f'deep/{path.name}')
    for place in ('in', 'patient.zip'):
        (scan,) = find_scans([tmp_path / place], scratch).scans
        assert scan.scan_id == '1.2.3'
        stored = sitk.GetArrayFromImage(scan.image)
        np.testing.assert_array_equal(stored, np.maximum(voxels(), -1024))


@pytest.mark.tried(
    'predict', 'a study with several series', 'the thinnest is taken, a note names the others'
)
def test_scan_in_an_archive_is_known_again(tmp_path, scratch, image):
    """A second run unpacks it again; by size and time it is the same."""
    sitk.WriteImage(image, str(tmp_path / 'a.nii.gz'))
    with zipfile.ZipFile(tmp_path / 'p.zip', 'w') as archive:
        archive.write(tmp_path / 'a.nii.gz', 'a.nii.gz')
        archive.write(tmp_path / 'a.nii.gz', 'deep/b.nii.gz')
    (tmp_path / 'again/0').mkdir(parents=True)
    first = find_scans([tmp_path / 'p.zip'], scratch).scans
    second = find_scans([tmp_path / 'p.zip'], tmp_path / 'again').scans
    assert [scan.scan_id for scan in first] == ['a', 'b']
    assert [s.source.stamps() for s in first] == [s.source.stamps() for s in second]


def test_of_several_series_the_thin_one_is_taken_and_that_is_told(tmp_path, scratch):
    for series, step in (('1.1', 5), ('1.2', 1), ('1.3', 2.5)):
        dicom_series.write_series(
            tmp_path / 'in', voxels(), series, places(step), SliceThickness=step
        )
    found = find_scans([tmp_path / 'in'], scratch)
    (scan,) = found.scans
    assert scan.scan_id == '1.2'
    (note,) = scan.notes
    assert 'series 1.2 was taken of 3' in note and '1.1 (5 mm, 12 slices)' in note
    assert dicom_series.PATIENT not in str(scan.notes)


def test_thick_slices_are_told(tmp_path, scratch):
    dicom_series.write_series(tmp_path / 'in', voxels(), places=places(5), SliceThickness=5)
    (scan,) = find_scans([tmp_path / 'in'], scratch).scans
    assert 'slices of 5 mm are thicker than the 2.5 mm' in scan.notes[0]


def test_series_that_cannot_be_used_is_refused_with_the_reason(tmp_path, scratch):
    dicom_series.write_series(tmp_path / 'in', voxels(), places=places(8), SliceThickness=8)
    found = find_scans([tmp_path / 'in'], scratch)
    assert not found.scans
    (message,) = found.refused.values()
    assert message.endswith('no series can be used: series 1.2.3 thick slices: 8 mm')


@pytest.mark.tried(
    'predict',
    'a study without a series that can be used',
    'it fails with the reasons, other studies are done',
)
def test_study_without_a_usable_series_is_told_beside_one_that_has(tmp_path, scratch):
    dicom_series.write_series(tmp_path / 'in', voxels(), places=places(1), SliceThickness=1)
    dicom_series.write_series(
        tmp_path / 'in', voxels(), '7.7', places(8), SliceThickness=8, StudyInstanceUID='7'
    )
    found = find_scans([tmp_path / 'in'], scratch)
    assert ids(found) == ['1.2.3']
    (message,) = found.refused.values()
    assert message.endswith('no series can be used: series 7.7 thick slices: 8 mm')


@pytest.mark.tried('predict', 'a single DICOM file', 'refused: give the folder')
def test_one_dicom_file_is_refused(tmp_path, scratch):
    path = dicom_series.write_series(tmp_path / 'in', voxels(), places=places(1))[0]
    found = find_scans([path], scratch)
    assert 'give the folder with all of its series' in found.refused[str(path)]


@pytest.mark.tried(
    'predict', 'an archive that is damaged, or has no scan in it', 'it fails and is named'
)
def test_archive_that_is_none_or_empty_is_refused(tmp_path, scratch, image):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        archive.writestr('readme.txt', 'x')
    whole = tmp_path / 'whole.zip'
    with zipfile.ZipFile(whole, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('a.txt', 'some text ' * 1000)
    content = bytearray(whole.read_bytes())
    content[60:70] = b'\0' * 10
    (tmp_path / 'b.zip').write_bytes(content)
    found = find_scans([tmp_path / 'a.zip', tmp_path / 'b.zip'], scratch)
    assert 'has no scan in it' in found.refused[str(tmp_path / 'a.zip')]
    assert 'cannot be unpacked' in found.refused[str(tmp_path / 'b.zip')]


@pytest.mark.tried(
    'predict',
    'one DICOM series in two archives or folders',
    'the first is taken, the second fails and names the first; others are done',
)
def test_second_copy_of_a_series_is_refused_and_others_go_on(tmp_path, scratch, image):
    (tmp_path / 'zz').mkdir()
    paths = dicom_series.write_series(tmp_path / 'series', voxels(), places=places(1))
    for name in 'ab':
        with zipfile.ZipFile(tmp_path / f'zz/{name}.zip', 'w') as archive:
            for path in paths:
                archive.write(path, path.name)
    sitk.WriteImage(image, str(tmp_path / 'zz/b.mha'))
    found = find_scans([tmp_path / 'zz', tmp_path / 'series', tmp_path / 'zz/a.zip'], scratch)
    assert set(ids(found)) == {'1.2.3', 'b'}
    assert list(found.refused) == [
        f'{place}: series 1.2.3' for place in (tmp_path / 'zz/b.zip', tmp_path / 'series')
    ]
    for place, message in found.refused.items():
        told = f'{place} is already taken from {tmp_path}/zz/a.zip: remove one of the two'
        assert message.startswith(told)


def test_scans_in_archives_are_named_by_the_archive(tmp_path, scratch, image):
    sitk.WriteImage(image, str(tmp_path / 'a.mha'))
    with zipfile.ZipFile(tmp_path / 'p.zip', 'w') as archive:
        archive.write(tmp_path / 'a.mha', 'deep/a.mha')
        archive.write(tmp_path / 'a.mha', 'a.mha')
    found = find_scans([tmp_path / 'p.zip'], scratch)
    name = f'{tmp_path}/p.zip: deep/a.mha'
    told = f'{name}: would be the scan a, as {tmp_path}/p.zip: a.mha is: rename one'
    assert ids(found) == ['a'] and found.refused == {name: told}


def test_nothing_at_all_is_an_error(tmp_path, scratch):
    (tmp_path / 'in').mkdir()
    with pytest.raises(ValueError, match='no scans in .*looked for .nii.gz'):
        find_scans([tmp_path / 'in'], scratch)
    with pytest.raises(ValueError, match='none: no such file or folder'):
        find_scans([tmp_path / 'none'], scratch)


def test_arrays_need_their_geometry(image):
    array, geometry = sitk.GetArrayFromImage(image), VolumeGeometry.from_sitk(image)
    scan = scan_in_memory((array, geometry), 'a')
    np.testing.assert_array_equal(sitk.GetArrayFromImage(scan.image), array)
    with pytest.raises(ValueError, match=r'the array is \(19, 30, 40\), its geometry'):
        scan_in_memory((array[1:], geometry), 'a')
    with pytest.raises(ValueError, match='expected a path, a SimpleITK.Image'):
        scan_in_memory(array, 'a')


def test_nothing_but_a_linked_folder_is_told(tmp_path, scratch, image):
    for folder in ('in', 'real'):
        (tmp_path / folder).mkdir()
    sitk.WriteImage(image, str(tmp_path / 'real/a.mha'))
    (tmp_path / 'in/p').symlink_to('../real')
    with pytest.raises(ValueError, match='no scans in .*; 1 linked folders were not .*/in/p$'):
        find_scans([tmp_path / 'in'], scratch)
    assert ids(find_scans([tmp_path / 'in/p'], scratch)) == ['a']
