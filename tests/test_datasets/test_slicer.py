"""Boxes of 3D Slicer as annotations, and several tables."""

import json
import math

import numpy as np
import pytest
import SimpleITK as sitk

from mmdet3d_medical.datasets.converters import ConvertSettings, convert_volumes
from mmdet3d_medical.datasets.converters.dicom.source import DicomSource
from mmdet3d_medical.datasets.converters.image_io import read_image
from mmdet3d_medical.datasets.converters.slicer import TURNED, annotate_slicer
from mmdet3d_medical.datasets.index import read_index
from mmdet3d_medical.inference.findings import Findings, Lesion
from mmdet3d_medical.structures import VolumeGeometry

from ..conftest import DIRECTIONS

SIZE = (3.0, 5.0, 8.0)  # mm along the scan's axes nearest to x, y, z
COS, SIN = math.cos(0.3), math.sin(0.3)
TILTED = np.array([[1, 0, 0], [0, COS, -SIN], [0, SIN, COS]]) @ np.reshape(
    DIRECTIONS['turned'], (3, 3)
)
AXES = {
    **DIRECTIONS,
    'tilted': tuple(TILTED.ravel()),
    'tilted and sagittal': tuple((TILTED @ np.reshape(DIRECTIONS['sagittal'], (3, 3))).ravel()),
}
HEADER = 'seriesuid,coordX,coordY,coordZ,diameter_mm'


def write_scan(path, direction=DIRECTIONS['straight']):
    image = sitk.Image([24, 30, 36], sitk.sitkInt16) - 1000  # air
    image.SetSpacing((0.7, 0.9, 2.0))
    image.SetOrigin((-40.0, 15.0, 100.0))
    image.SetDirection(direction)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return VolumeGeometry.from_sitk(image)


def findings_of(geometry, *names, scan_id='ct1'):
    centers = geometry.index_to_world(np.array([[10.25, 12.0, 8.5], [20.0, 3.0, 11.0]]))
    lesions = [
        Lesion(tuple(center.tolist()), SIZE, 5.0, 0.9, name)
        for center, name in zip(centers, names, strict=False)
    ]
    return Findings(scan_id, geometry, tuple(lesions))


def convert(tmp_path, annotations, scans='scans', **settings):
    report = convert_volumes(
        [tmp_path / scans], annotations, tmp_path / 'out', ConvertSettings(**settings)
    )
    index = read_index(tmp_path / 'out/index.json')
    return report, index, {scan['scan_id']: scan for scan in index['scans']}


def edit(path, new=None, **changes):
    """Change the first ROI of a file."""
    content = json.loads(path.read_text())
    content['markups'][0].update(changes)
    (new or path).write_text(json.dumps(content))


def corners(center, size, axes):
    """(8, 3) world positions of a box's corners; ``size`` along the columns of ``axes``."""
    signs = np.indices((2, 2, 2)).reshape(3, -1).T - 0.5
    return center + (signs * size) @ np.transpose(axes)


@pytest.mark.parametrize('suffix', ['nrrd', 'nii.gz', 'mha'])
@pytest.mark.parametrize('name', AXES)
def test_findings_become_annotations_without_a_change(tmp_path, name, suffix):
    geometry = write_scan(tmp_path / f'scans/ct1.{suffix}', AXES[name])
    found = findings_of(geometry, 'nodule', 'mass')
    found.save(tmp_path / 'found/ct1', ['slicer', 'nifti', 'csv', 'json'])
    report, index, scans = convert(tmp_path, [tmp_path / 'found'], crop='none', spacing=(1, 1, 1))
    assert index['classes'] == ['mass', 'nodule'] and not report.notes
    assert [i['label'] for i in scans['ct1']['instances']] == [1, 0] and scans['ct1']['annotated']
    turned = VolumeGeometry.from_dict(scans['ct1']['geometry'])
    axes = np.reshape(turned.direction, (3, 3))
    for lesion, instance in zip(found.lesions, scans['ct1']['instances'], strict=True):
        np.testing.assert_allclose(instance['center'], lesion.center_mm, atol=1e-4)
        np.testing.assert_allclose(
            turned.extents_to_world([instance['size']])[0], lesion.size_mm, atol=1e-4
        )
        drawn = corners(lesion.center_mm, lesion.size_mm, geometry.lps_axes)
        indexed = corners(np.array(instance['center']), instance['size'][::-1], axes)
        for corner in drawn:
            assert np.linalg.norm(indexed - corner, axis=1).min() < 1e-4
        assert instance['diameter'] == pytest.approx(math.prod(SIZE) ** (1 / 3))


def test_files_in_ras_and_with_turned_axes_are_the_same_boxes(tmp_path):
    geometry = write_scan(tmp_path / 'scans/ct1.nrrd', AXES['tilted'])
    found = findings_of(geometry, 'nodule')
    (file,) = found.save(tmp_path / 'one', ['slicer'])
    to_ras = np.array([-1.0, -1, 1])
    columns = geometry.lps_axes[:, [2, 0, 1]] * [-1, 1, 1]
    edit(
        file,
        tmp_path / 'ct1.mrk.json',
        coordinateSystem='RAS',
        center=(np.array(found.lesions[0].center_mm) * to_ras).tolist(),
        orientation=(columns * to_ras[:, None]).ravel().tolist(),
        size=[SIZE[2], SIZE[0], SIZE[1]],
    )
    report, _, scans = convert(tmp_path, [tmp_path / 'ct1.mrk.json'])
    (instance,) = scans['ct1']['instances']
    np.testing.assert_allclose(instance['center'], found.lesions[0].center_mm, atol=1e-4)
    np.testing.assert_allclose(instance['size'], SIZE[::-1], atol=1e-4)
    assert not report.notes


def test_a_box_with_other_axes_becomes_the_one_around_it_and_is_told(tmp_path):
    geometry = write_scan(tmp_path / 'scans/ct1.nrrd', AXES['tilted'])
    found = findings_of(geometry, 'nodule')
    (file,) = found.save(tmp_path / 'found/ct1', ['slicer'])
    edit(file, orientation=np.eye(3).ravel().tolist())
    report, _, scans = convert(tmp_path, [tmp_path / 'found'])
    (instance,) = scans['ct1']['instances']
    offsets = corners(np.zeros(3), SIZE, np.eye(3)) @ geometry.lps_axes
    np.testing.assert_allclose(instance['size'], np.ptp(offsets, axis=0)[::-1], atol=1e-4)
    assert report.notes == {TURNED: ['ct1: nodule 1']}


def test_scans_without_a_file_are_not_annotated_and_files_without_a_scan_are_listed(tmp_path):
    for name in ('ct1', 'ct2', 'ct3', 'findings'):
        geometry = write_scan(tmp_path / f'scans/{name}.nrrd')
    found = tmp_path / 'found'
    findings_of(geometry, 'nodule').save(found / 'ct1', ['slicer'])
    findings_of(geometry).save(found / 'ct2', ['slicer'])
    findings_of(geometry, 'nodule').save(found / 'ct9', ['slicer'])
    (found / 'ct9/findings.mrk.json').rename(found / 'ct8.mrk.json')
    findings_of(geometry, 'nodule').save(found / 'ct9', ['slicer'])
    report, _, scans = convert(tmp_path, [found])
    assert report.missing == ['ct8', 'ct9']
    assert {key: scan['annotated'] for key, scan in scans.items()} == {
        'ct1': True,
        'ct2': True,
        'ct3': False,
        'findings': False,
    }
    assert [len(scan['instances']) for scan in scans.values()] == [1, 0, 0, 0]


def test_files_beside_the_scan_are_found_and_several_of_a_folder_are_joined(tmp_path):
    geometry = write_scan(tmp_path / 'scans/ct1/ct1.nrrd')
    folder = tmp_path / 'scans/ct1'
    (file,) = findings_of(geometry, 'nodule').save(folder, ['slicer'])
    edit(file, folder / 'R.mrk.json', name='R', size=[1, 2, 3])
    _, index, scans = convert(tmp_path, [tmp_path / 'scans'])
    assert index['classes'] == ['nodule']  # also that of the ROI with Slicer's own name
    assert [i['size'] for i in scans['ct1']['instances']] == [[3, 2, 1], [8, 5, 3]]
    _, _, again = convert(tmp_path, [file, tmp_path / 'scans'])  # given twice, read once
    assert again['ct1']['instances'] == scans['ct1']['instances']


@pytest.mark.parametrize(
    'name, expected',
    [
        ('nodule 3', 'nodule'),
        ('nodule', 'nodule'),
        ('grade 3 12', 'grade 3'),
        ('lung_2', 'lung_2'),
        ('', 'lesion'),
        ('R', 'lesion'),
        ('R_1', 'lesion'),
        ('ROI-2', 'lesion'),
    ],
)
def test_classes_by_names(tmp_path, name, expected):
    geometry = write_scan(tmp_path / 'scans/ct1.nrrd')
    (file,) = findings_of(geometry, 'nodule').save(tmp_path / 'ct1', ['slicer'])
    edit(file, name=name)
    assert convert(tmp_path, [tmp_path / 'ct1'])[1]['classes'] == [expected]


def test_what_cannot_be_used_is_an_error_that_names_the_file(tmp_path):
    geometry = write_scan(tmp_path / 'scans/ct1.nrrd')
    (file,) = findings_of(geometry, 'nodule', 'mass').save(tmp_path / 'found/ct1', ['slicer'])

    def refused(*annotations, **settings):
        with pytest.raises(ValueError) as error:
            convert(tmp_path, annotations or [tmp_path / 'found'], **settings)
        return str(error.value)

    assert '--classes names values of masks' in refused(classes=((1, 'tumor'),))
    other = tmp_path / 'found/ct1.mrk.json'
    edit(file, other)
    assert f'{other} and ' in refused() or f' and {other}' in refused()
    other.rename(tmp_path / 'ct7.mrk.json')
    assert "the first is 'ct7', but scans have ids like 'ct1'" in refused(tmp_path / 'ct7.mrk.json')
    write_scan(tmp_path / 'found/ct1.nrrd')
    assert 'found/ct1.nrrd is a mask' in refused()
    (tmp_path / 'found/ct1.nrrd').unlink()
    edit(file, tmp_path / 'found/ct1/R.mrk.json', name='R')
    assert "ct1/R.mrk.json: the ROI 'R' needs a name" in refused()
    edit(file, type='Line')
    assert f'{file}: expected ROIs' in refused()


def test_a_scan_that_cannot_be_read_fails_alone(tmp_path):
    geometry = write_scan(tmp_path / 'scans/ct1.nrrd')
    write_scan(tmp_path / 'scans/ct2.nrrd')
    for name in ('ct1', 'ct2'):
        findings_of(geometry, 'nodule').save(tmp_path / 'found' / name, ['slicer'])
    (tmp_path / 'scans/ct2.nrrd').write_bytes(b'no image')
    report, _, scans = convert(tmp_path, [tmp_path / 'found'])
    assert set(report.failures) == {'ct2'} and len(scans['ct1']['instances']) == 1


@pytest.mark.parametrize('name', AXES)
def test_axes_by_headers_are_those_of_the_volume_that_is_read(tmp_path, name):
    geometry = write_scan(tmp_path / 'ct1.nii', AXES[name])
    source = DicomSource('ct1', tmp_path / 'ct1.nii', geometry=geometry)
    expected = np.reshape(read_image(source.image).GetDirection(), (3, 3))
    np.testing.assert_allclose(source.axes(), expected, atol=1e-6)
    findings_of(geometry, 'nodule').save(tmp_path / 'ct1', ['slicer'])
    (instance,) = annotate_slicer([source], [tmp_path / 'ct1']).lesions['ct1']
    np.testing.assert_allclose(
        VolumeGeometry.from_sitk(read_image(source.image)).extents_to_world([instance['size']]),
        [SIZE],
        atol=1e-4,
    )


def test_several_tables_are_joined(tmp_path):
    for name in ('ct1', 'ct2', 'ct3', 'ct4'):
        write_scan(tmp_path / f'scans/{name}.nrrd')
    tables = tmp_path / 'tables'
    tables.mkdir()
    (tables / 'a.csv').write_text(f'{HEADER},class,patient\nct1,-35,20,120,4,node,p\n')
    (tables / 'b.csv').write_text(
        f'{HEADER},class,patient\nct1,-35,20,130,5,mass,p\nct2,-35,20,120,6,node,q\n'
    )
    (tables / 'c.csv').write_text(f'{HEADER},class,patient\n')
    (tables / 'd.csv').write_text(f'{HEADER},class,patient\nct9,-35,20,120,6,node,r\n')
    report, index, scans = convert(tmp_path, [tables])
    assert index['classes'] == ['mass', 'node'] and report.missing == ['ct9']
    sizes = {key: [i['diameter'] for i in scan['instances']] for key, scan in scans.items()}
    assert sizes == {'ct1': [4, 5], 'ct2': [6], 'ct3': [], 'ct4': []}
    assert all(scan['annotated'] for scan in scans.values())
    by_name = [tables / f'{name}.csv' for name in 'abcd']
    assert convert(tmp_path, [*by_name, tables])[1] == index
    (tables / 'd.csv').write_text(f'{HEADER},class,patient\nct1,-35,20,120,6,node,other\n')
    with pytest.raises(ValueError, match=r"d.csv, line 2: scan ct1 has the patient 'other'"):
        convert(tmp_path, [tables])


def test_reviews_tell_of_the_scans_that_they_name_alone(tmp_path):
    """All findings of ct2 are rejected: it has no lesion. Nobody looked at ct3."""
    for name in ('ct1', 'ct2', 'ct3'):
        write_scan(tmp_path / f'scans/{name}.nrrd')
    tables = tmp_path / 'tables'
    tables.mkdir()
    header = f'{HEADER},ignore,review\n'
    (tables / 'a.csv').write_text(
        f'{header}ct1,-35,20,120,4,0,accepted\nct1,-35,20,130,5,1,open\nct1,-35,20,140,5,0,rejected\n'
    )
    (tables / 'b.csv').write_text(f'{header}ct2,-35,20,120,6,0,rejected\n')
    _, _, scans = convert(tmp_path, [tables])
    found = {
        key: (scan['annotated'], [(i['diameter'], i['ignore']) for i in scan['instances']])
        for key, scan in scans.items()
    }
    assert found == {
        'ct1': (True, [(4, False), (5, True)]),
        'ct2': (True, []),
        'ct3': (False, []),
    }
    (tables / 'c.csv').write_text(f'{HEADER}\nct3,-35,20,120,6\n')
    with pytest.raises(ValueError, match=r'a.csv is a review, .*c.csv is none'):
        convert(tmp_path, [tables])


def test_a_review_says_that_a_scan_has_no_lesion(tmp_path):
    """Of ct2, also by a second reader who rejected the one finding there was."""
    for name in ('ct1', 'ct2', 'ct3'):
        write_scan(tmp_path / f'scans/{name}.nrrd')
    tables = tmp_path / 'tables'
    tables.mkdir()
    header = f'{HEADER},class,ignore,review,probability\n'
    (tables / 'a.csv').write_text(f'{header}ct1,-35,20,120,4,node,0,accepted,.9\n')
    (tables / 'b.csv').write_text(f'{header}ct2,,,,,,0,no lesion,\n')
    (tables / 'c.csv').write_text(f'{header}ct2,-35,20,120,4,node,0,rejected,.2\n')
    _, index, scans = convert(tmp_path, [tables])
    found = {key: (scan['annotated'], len(scan['instances'])) for key, scan in scans.items()}
    assert found == {'ct1': (True, 1), 'ct2': (True, 0), 'ct3': (False, 0)}
    assert index['classes'] == ['node']
    for judged in ('accepted', 'open', ''):
        (tables / 'c.csv').write_text(f'{header}ct2,-35,20,120,4,node,0,{judged},.2\n')
        with pytest.raises(ValueError, match=r'c.csv, line 2: .* ct2, of which .*b.csv, line 2'):
            convert(tmp_path, [tables])
