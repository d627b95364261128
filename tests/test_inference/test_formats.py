"""Files of findings, against positions that SimpleITK computes on its own."""

import csv
import json

import numpy as np
import pytest
import SimpleITK as sitk

from mmdet3d_medical.cli.options.predict import DEFAULT
from mmdet3d_medical.cli.options.predict import FORMATS as OPTIONS
from mmdet3d_medical.datasets.converters.slicer import read_rois
from mmdet3d_medical.inference import read_findings_json
from mmdet3d_medical.inference.findings import DEFAULT_FORMATS
from mmdet3d_medical.inference.formats import FORMATS, notes
from mmdet3d_medical.inference.formats.nifti import label_map
from mmdet3d_medical.inference.formats.table import COLUMNS

from .conftest import make_image

ANGLE = np.deg2rad(20)
TURNED = [[np.cos(ANGLE), -np.sin(ANGLE), 0], [np.sin(ANGLE), np.cos(ANGLE), 0], [0, 0, 1]]
DIRECTIONS = {
    'straight': np.eye(3),
    'flipped': np.diag([-1, -1, 1]),
    'turned': np.array(TURNED),
    'sagittal': np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]]),
    'turned and flipped': np.array(TURNED) @ np.diag([1, -1, -1]),
}
BOXES = [[4, 6, 8, 9, 12, 18], [12, 3, 20, 14, 25, 27]]


@pytest.fixture(params=DIRECTIONS.values(), ids=DIRECTIONS)
def turned_image(request):
    return make_image(request.param)


def center_of(image, box):
    low, high = np.array(box[:3]), np.array(box[3:])
    index = ((low + high) / 2 - 0.5)[::-1]
    return image.TransformContinuousIndexToPhysicalPoint(index.tolist())


def test_table_has_the_columns_of_luna16_then_sizes_and_class(
    tmp_path, turned_image, make_findings
):
    findings = make_findings(turned_image, BOXES)
    (path,) = findings.save(tmp_path, ['csv'])
    rows = list(csv.DictReader(path.open()))
    assert tuple(rows[0]) == COLUMNS and len(rows) == 2
    for row, box in zip(rows, BOXES, strict=True):
        center = [float(row[f'coord{axis}']) for axis in 'XYZ']
        np.testing.assert_allclose(center, center_of(turned_image, box), atol=1e-4)
        assert row['seriesuid'] == 'scan' and row['class'] == 'nodule'
    straight = float(rows[0]['sizeX']), float(rows[0]['sizeY']), float(rows[0]['sizeZ'])
    assert sorted(straight) == pytest.approx(sorted([10 * 1.0, 6 * 1.5, 5 * 2.0]))
    assert float(rows[0]['diameter_mm']) == pytest.approx((10 + 9 + 10) / 3, abs=1e-4)


def test_table_without_findings_is_its_header(tmp_path, image, make_findings):
    (path,) = make_findings(image, []).save(tmp_path, ['csv'])
    assert path.read_text() == ','.join(COLUMNS) + '\n'


def test_json_is_read_back_as_it_was(tmp_path, turned_image, make_findings):
    findings = make_findings(turned_image, BOXES, notes=('one',))
    (path,) = findings.save(tmp_path, ['json'])
    assert read_findings_json(path) == findings
    path.write_text('{}')
    with pytest.raises(ValueError, match='findings.json: no findings of this package'):
        read_findings_json(path)


def test_label_map_has_a_label_at_every_voxel_whose_center_is_in_the_box(
    tmp_path, turned_image, make_findings
):
    (path,) = make_findings(turned_image, BOXES).save(tmp_path, ['nifti'])
    image = sitk.ReadImage(str(path))
    assert image.GetSize() == turned_image.GetSize()
    np.testing.assert_allclose(image.GetDirection(), turned_image.GetDirection(), atol=1e-5)
    np.testing.assert_allclose(image.GetOrigin(), turned_image.GetOrigin(), atol=1e-4)
    expected = np.zeros((20, 30, 40), int)
    for label, (z1, y1, x1, z2, y2, x2) in enumerate(BOXES, start=1):
        expected[z1:z2, y1:y2, x1:x2] = label
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), expected)


def test_label_map_shows_the_surest_and_no_finding_is_lost(image, make_findings):
    overlapping = [[4, 4, 4, 8, 8, 8], [6, 4, 4, 10, 8, 8], [12.6, 1.6, 1.6, 12.9, 1.9, 1.9]]
    labels = label_map(make_findings(image, overlapping))
    assert (labels == 1).sum() == 64 and (labels == 2).sum() == 32
    assert labels[12, 1, 1] == 3 and (labels == 3).sum() == 1


def test_label_map_keeps_a_small_box_that_lies_in_a_surer_one(image, make_findings):
    nested = [[2, 2, 2, 10, 10, 10], [4, 4, 4, 6, 6, 6]]
    findings = make_findings(image, nested)
    labels = label_map(findings)
    assert (labels == 2).sum() == 8 and (labels == 1).sum() == 8**3 - 8
    assert notes(FORMATS, findings) == []


def test_finding_without_a_voxel_is_told(image, make_findings):
    """Two halves, each smaller than the third, which is as large as both."""
    covered = [[4, 4, 4, 6, 8, 8], [6, 4, 4, 8, 8, 8], [4, 4, 4, 8, 8, 8]]
    findings = make_findings(image, covered)
    assert set(np.unique(label_map(findings))) == {0, 1, 2}
    (note,) = notes(['json', 'nifti'], findings)
    assert note == 'findings.nii.gz has no voxel of finding 3: smaller or surer boxes cover all'
    assert notes(['json', 'slicer'], findings) == []


def test_points_are_those_of_grand_challenge(tmp_path, turned_image, make_findings):
    (path,) = make_findings(turned_image, BOXES).save(tmp_path, ['grand-challenge'])
    content = json.loads(path.read_text())
    assert content['type'] == 'Multiple points' and content['version'] == {'major': 1, 'minor': 0}
    points = [point['point'] for point in content['points']]
    np.testing.assert_allclose(points, [center_of(turned_image, box) for box in BOXES], atol=1e-4)
    assert [point['probability'] for point in content['points']] == [0.9, 0.8]


def corners_of(center, size, axes):
    """(8, 3) world positions of a box's corners."""
    signs = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, 8).T
    return center + (signs * np.array(size) / 2) @ np.array(axes).T


def test_slicer_rois_are_the_boxes(tmp_path, turned_image, make_findings):
    """Corners in the world by SimpleITK, and by the file's center, size and orientation."""
    (path,) = make_findings(turned_image, BOXES).save(tmp_path, ['slicer'])
    content = json.loads(path.read_text())
    assert content['@schema'].endswith('markups-schema-v1.0.3.json#')
    for markup, box in zip(content['markups'], BOXES, strict=True):
        assert markup['type'] == 'ROI' and markup['coordinateSystem'] == 'LPS'
        axes = np.reshape(markup['orientation'], (3, 3))
        found = corners_of(np.array(markup['center']), markup['size'], axes)
        z, y, x = (np.array([box[k], box[k + 3]]) - 0.5 for k in range(3))
        index = np.array(np.meshgrid(x, y, z)).reshape(3, 8).T
        expected = [turned_image.TransformContinuousIndexToPhysicalPoint(i.tolist()) for i in index]
        order = lambda points: np.array(sorted(np.round(points, 6).tolist()))  # noqa: E731
        np.testing.assert_allclose(order(found), order(expected), atol=1e-4)
        (point,) = markup['controlPoints']
        assert point['position'] == markup['center']


def test_slicer_rois_are_read_back(tmp_path, turned_image, make_findings):
    findings = make_findings(turned_image, BOXES)
    (path,) = findings.save(tmp_path, ['slicer'])
    rois = read_rois(path)
    for roi, lesion in zip(rois, findings.lesions, strict=True):
        np.testing.assert_allclose(roi['center'], lesion.center_mm)
        np.testing.assert_allclose(roi['size'], lesion.size_mm)
        np.testing.assert_allclose(roi['axes'], findings.geometry.lps_axes)
    assert [roi['name'] for roi in rois] == ['nodule 1', 'nodule 2']


def test_rois_in_ras_are_the_same_boxes(tmp_path, turned_image, make_findings):
    findings = make_findings(turned_image, BOXES)
    (path,) = findings.save(tmp_path, ['slicer'])
    content = json.loads(path.read_text())
    for markup in content['markups']:
        markup['coordinateSystem'] = 'RAS'
        flip = np.array([-1, -1, 1])
        markup['center'] = (np.array(markup['center']) * flip).tolist()
        axes = np.reshape(markup['orientation'], (3, 3)) * flip[:, None]
        markup['orientation'] = axes.ravel().tolist()
    path.write_text(json.dumps(content))
    for roi, lesion in zip(read_rois(path), findings.lesions, strict=True):
        np.testing.assert_allclose(roi['center'], lesion.center_mm)
        np.testing.assert_allclose(roi['axes'], findings.geometry.lps_axes)


@pytest.mark.parametrize(
    'key, value, message',
    [
        ('type', 'Fiducial', 'a markup of the type Fiducial, which has no extent'),
        ('size', [1, 0, 2], 'size must be three positive mm'),
        ('orientation', [0] * 9, 'three perpendicular axes of length 1'),
        ('coordinateSystem', 'IJK', 'must be LPS or RAS'),
        ('coordinateUnits', 'um', 'coordinateUnits must be mm'),
        ('coordinateUnits', ['um', 'UCUM', 'micrometer'], 'coordinateUnits must be mm'),
    ],
)
def test_wrong_rois_are_refused(tmp_path, image, make_findings, key, value, message):
    (path,) = make_findings(image, BOXES).save(tmp_path, ['slicer'])
    content = json.loads(path.read_text())
    content['markups'][1][key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f'findings.mrk.json: expected ROIs.*{message}'):
        read_rois(path)


def test_unknown_format_is_refused(tmp_path, image, make_findings):
    with pytest.raises(ValueError, match="format must be one of csv, json.*found 'pdf'"):
        make_findings(image, BOXES).save(tmp_path, ['pdf'])


def test_options_of_the_command_are_the_formats():
    assert tuple(FORMATS) == OPTIONS and DEFAULT_FORMATS == DEFAULT
