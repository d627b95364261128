"""LIDC-IDRI's XML files against outlines whose center and size are known."""

import numpy as np
import pytest

from mmdet3d_medical.datasets.converters.cache import ScanSource
from mmdet3d_medical.datasets.converters.dicom.source import DicomSource
from mmdet3d_medical.datasets.converters.lidc import annotate_lidc, find_readings
from mmdet3d_medical.datasets.converters.volumes import convert_volumes
from mmdet3d_medical.datasets.index import read_index
from mmdet3d_medical.structures import VolumeGeometry

from .dicom_series import ORIGIN, SETTINGS, SPACING, convert, make_voxels, write_series

GEOMETRY = VolumeGeometry((-150, -120, -300), (0.5, 0.5, 1.5), np.eye(3).ravel(), (80, 400, 400))


def roi(z, points, inside='TRUE'):
    edges = ''.join(
        f'<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>' for x, y in points
    )
    return f'<roi><imageZposition>{z}</imageZposition><inclusion>{inside}</inclusion>{edges}</roi>'


def nodule(*rois):
    return f'<unblindedReadNodule><noduleID>1</noduleID>{"".join(rois)}</unblindedReadNodule>'


def other(z, x, y):
    return (
        f'<nonNodule><nonNoduleID>1</nonNoduleID><imageZposition>{z}</imageZposition>'
        f'<locus><xCoord>{x}</xCoord><yCoord>{y}</yCoord></locus></nonNodule>'
    )


def write(path, *sessions, series='1.2.3', root='LidcReadMessage'):
    read = ''.join(f'<readingSession>{session}</readingSession>' for session in sessions)
    path.write_text(
        f'<?xml version="1.0"?><{root} uid="1" xmlns="http://www.nih.gov"><ResponseHeader>'
        f'<SeriesInstanceUid>{series}</SeriesInstanceUid></ResponseHeader>{read}</{root}>'
    )
    return path


def source(geometry=GEOMETRY, series='1.2.3'):
    return DicomSource(series, None, geometry=geometry)


def square(x, y, side):
    """Pixels around a square of ``side`` pixels whose first one is (x, y), all the way round."""
    low, high = -1, side
    top = [(x + k, y + low) for k in range(low, high)]
    right = [(x + high, y + k) for k in range(low, high)]
    bottom = [(x + k, y + high) for k in range(high, low, -1)]
    left = [(x + low, y + k) for k in range(high, low, -1)]
    return [*top, *right, *bottom, *left]


def lesions(tmp_path, *sessions, readers=3):
    write(tmp_path / 'a.xml', *sessions)
    return annotate_lidc([source()], [tmp_path], readers)[0]['1.2.3']


def test_outline_bounds_the_pixels_inside_it(tmp_path):
    """3 x 3 pixels of .5 mm on 2 slices of 1.5 mm: 6.75 mm3, around pixel (11, 21), slices 4, 5."""
    rois = [roi(-300 + 1.5 * k, square(10, 20, 3)) for k in (4, 5)]
    (found,) = lesions(tmp_path, nodule(*rois), readers=1)
    np.testing.assert_allclose(found['center'], [-150 + 5.5, -120 + 10.5, -300 + 6.75])
    assert found['diameter'] == pytest.approx((6 * 6.75 / np.pi) ** (1 / 3))
    assert found['size'] == [found['diameter']] * 3 and not found['ignore']


def test_corners_alone_describe_the_same_outline(tmp_path):
    corners = [(9, 19), (13, 19), (13, 23), (9, 23)]
    one = lesions(tmp_path, nodule(roi(-294, square(10, 20, 3))), readers=1)
    assert one == lesions(tmp_path, nodule(roi(-294, corners)), readers=1)


def test_hole_is_subtracted(tmp_path):
    rois = [roi(-294, square(10, 20, 9)), roi(-294, square(12, 22, 5), 'FALSE')]
    (found,) = lesions(tmp_path, nodule(*rois), readers=1)
    volume = (81 - 25) * 0.5 * 0.5 * 1.5
    assert found['diameter'] == pytest.approx((6 * volume / np.pi) ** (1 / 3))


@pytest.mark.parametrize('flip', [1, -1], ids=['head last', 'head first'])
def test_ball_has_its_center_and_diameter(tmp_path, flip):
    """An independent oracle: outlines of a ball of 12 mm, traced around its voxels."""
    geometry = VolumeGeometry(
        (-150, -120, -300 * flip), (0.5, 0.5, 1.5), [1, 0, 0, 0, 1, 0, 0, 0, flip], (80, 400, 400)
    )
    center = np.array([-60.0, 10.0, -250.0 * flip])
    rois = []
    for k in range(80):
        z = -300 * flip + 1.5 * k * flip
        height = abs(z - center[2])
        if height < 6:
            radius = np.sqrt(36 - height**2) / 0.5 + 0.5  # pixels; the outline lies outside
            angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
            x = (center[0] + 150) / 0.5 + radius * np.cos(angles)
            y = (center[1] + 120) / 0.5 + radius * np.sin(angles)
            points = np.unique(np.rint([x, y]).astype(int).T, axis=0, return_index=True)[1]
            rois.append(roi(z, np.rint([x, y]).astype(int).T[np.sort(points)]))
    write(tmp_path / 'a.xml', nodule(*rois))
    ((found,),) = annotate_lidc([source(geometry)], [tmp_path], 1)[0].values()
    np.testing.assert_allclose(found['center'], center, atol=0.15)
    assert found['diameter'] == pytest.approx(12, abs=0.4)


def test_readers_agree_on_one_nodule_and_not_on_another(tmp_path):
    """Three of four outline the first, a pixel apart; two the second, which is excluded."""
    first = [nodule(roi(-294, square(100 + k, 50, 9))) for k in range(3)]
    second = nodule(roi(-240, square(200, 50, 9)))
    found = lesions(tmp_path, first[0] + second, first[1], second, first[2])
    assert [f['ignore'] for f in found] == [False, True]
    np.testing.assert_allclose(found[0]['center'], [-150 + 52.5, -120 + 27, -294])
    ignored = lesions(tmp_path, first[0] + second, first[1], second, first[2], readers=4)
    assert [f['ignore'] for f in ignored] == [True, True]
    counted = lesions(tmp_path, first[0] + second, first[1], second, first[2], readers=2)
    assert [f['ignore'] for f in counted] == [False, False]


def test_two_outlines_of_one_reader_are_two_nodules(tmp_path):
    near = [nodule(roi(-294, square(100 + k, 50, 9))) for k in (0, 6)]
    assert len(lesions(tmp_path, ''.join(near))) == 2


def test_nodules_further_apart_than_their_radii_stay_two(tmp_path):
    """9 x 9 pixels on a slice make a diameter of 3.9 mm: 3 mm apart is one nodule, 4 mm two."""
    for pixels, number in ((6, 1), (8, 2)):
        two = [nodule(roi(-294, square(x, 50, 9))) for x in (100, 100 + pixels)]
        assert len(lesions(tmp_path, *two)) == number


def test_points_are_ignored_whoever_marked_them(tmp_path):
    point = nodule(roi(-270, [(40, 60)]))
    found = lesions(tmp_path, point + other(-210, 7, 9), point, point, point)
    assert [f['ignore'] for f in found] == [True] * 5
    assert {f['diameter'] for f in found} == {10}
    places = {tuple(f['center']) for f in found}
    assert places == {(-130, -90, -270), (-146.5, -115.5, -210)}


def test_radiographs_and_ct_without_findings(tmp_path):
    write(tmp_path / 'a.xml', '', '')
    write(tmp_path / 'b.xml', nodule(), series='9', root='IdriReadMessage')
    assert find_readings([tmp_path]) == {'1.2.3': []}


def test_series_without_a_file_is_not_annotated(tmp_path):
    write(tmp_path / 'a.xml', '')
    write(tmp_path / 'b.xml', '', series='7.7')
    lesions, missing = annotate_lidc([source(), source(series='4')], [tmp_path])
    assert lesions == {'1.2.3': [], '4': None} and missing == ['7.7']


@pytest.mark.parametrize(
    'content, message',
    [
        ('<LidcReadMessage>', 'not an XML file of LIDC-IDRI'),
        ('<LidcReadMessage/>', 'no ResponseHeader/SeriesInstanceUid'),
        (nodule(), 'a.xml|none of 0 XML files'),
    ],
)
def test_bad_files_are_named(tmp_path, content, message):
    (tmp_path / 'a.xml').write_text(content)
    with pytest.raises(ValueError, match=message):
        annotate_lidc([source()], [tmp_path / 'a.xml'])


def test_coordinates_must_be_numbers(tmp_path):
    write(tmp_path / 'a.xml', nodule(roi(-294, [('a', 2)])))
    with pytest.raises(ValueError, match='a.xml: not an XML file of LIDC-IDRI: invalid literal'):
        find_readings([tmp_path])


def test_two_files_about_one_series_are_refused(tmp_path):
    first, second = (write(tmp_path / name, '') for name in ('a.xml', 'b.xml'))
    with pytest.raises(ValueError, match=f'{second} and {first} are both about series 1.2.3'):
        find_readings([tmp_path])


def test_finding_outside_the_slices_is_refused(tmp_path):
    with pytest.raises(ValueError, match='z = -500 mm, where the series has no slice'):
        lesions(tmp_path, other(-500, 3, 3))


def test_volumes_are_refused(tmp_path):
    write(tmp_path / 'a.xml', '')
    with pytest.raises(ValueError, match='take convert-dicom, not volumes'):
        annotate_lidc([ScanSource('1.2.3', tmp_path)], [tmp_path])


def test_dicom_series_is_converted_with_its_findings(tmp_path):
    """Through the converter: the files may lie among the slices, and a series without one stays
    without annotation."""
    write_series(tmp_path / 'in/a', make_voxels())
    write_series(tmp_path / 'in/b', make_voxels(1), series='5.5', StudyInstanceUID='5')
    outline = nodule(roi(ORIGIN[2] + 2 * SPACING[2], square(3, 4, 3)))
    write(tmp_path / 'in/a/158.xml', *[outline] * 3)
    convert(tmp_path / 'in', tmp_path / 'out', annotations=[tmp_path / 'in'])
    scans = {scan['scan_id']: scan for scan in read_index(tmp_path / 'out/index.json')['scans']}
    assert {key: scan['annotated'] for key, scan in scans.items()} == {'1.2.3': True, '5.5': False}
    (found,) = scans['1.2.3']['instances']
    expected = np.array(ORIGIN) + np.array([4, 5, 2]) * SPACING
    np.testing.assert_allclose(found['center'], expected, atol=1e-5)


def test_folder_of_masks_with_a_stray_xml_file_stays_a_folder_of_masks(tmp_path):
    import SimpleITK as sitk

    for name in ('a', 'a_label'):
        image = sitk.GetImageFromArray(np.zeros((4, 5, 6), np.int16))
        folder = tmp_path / ('masks' if name.endswith('label') else 'in')
        folder.mkdir()
        sitk.WriteImage(image, folder / f'{name}.nii.gz')
    (tmp_path / 'masks/stray.xml').write_text('<a/>')
    report = convert_volumes([tmp_path / 'in'], [tmp_path / 'masks'], tmp_path / 'out', SETTINGS)
    assert report.scans == 1 and not report.failures
