"""Conversion of any volumes, with masks, CSV files or nothing."""

import numpy as np
import pytest
import SimpleITK as sitk

from mmdet3d_medical.datasets.converters import (
    ConvertSettings,
    convert_volumes,
    read_annotations,
)
from mmdet3d_medical.datasets.converters.cache import NO_AIR
from mmdet3d_medical.datasets.converters.links import LINKED, note_of_links
from mmdet3d_medical.datasets.index import read_index
from mmdet3d_medical.structures import VolumeGeometry

SETTINGS = ConvertSettings()
SPACING, ORIGIN = (0.5, 1.0, 2.0), (10.0, -20.0, 30.0)  # x, y, z


def write(path, voxels, direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)):
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    image.SetDirection(direction)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


@pytest.fixture
def voxels():
    return np.random.default_rng(0).integers(-1000, 400, (8, 12, 16)).astype(np.int16)


@pytest.fixture
def mask():
    """Value 1: a block of 2 x 3 x 4 voxels and one voxel; value 2: one voxel."""
    labels = np.zeros((8, 12, 16), np.uint8)
    labels[1:3, 2:5, 4:8] = 1
    labels[6, 10, 1] = 1
    labels[6, 10, 14] = 2
    return labels


def boxes_of(scan):
    geometry = VolumeGeometry.from_dict(scan['geometry'])
    instances = scan['instances']
    return geometry.world_to_box([i['center'] for i in instances], [i['size'] for i in instances])


def only_scan(out):
    (scan,) = read_index(out / 'index.json')['scans']
    return scan


@pytest.mark.parametrize('suffix', ['nrrd', 'nii', 'nii.gz', 'mhd', 'mha'])
def test_formats(tmp_path, voxels, suffix):
    write(tmp_path / f'00783.v1.{suffix}', voxels)
    convert_volumes([tmp_path / f'00783.v1.{suffix}'], [], tmp_path / 'out', SETTINGS)
    scan = only_scan(tmp_path / 'out')
    assert scan['scan_id'] == '00783.v1' and not scan['annotated'] and scan['instances'] == []
    np.testing.assert_array_equal(np.load(tmp_path / 'out/volumes/00783.v1.npy'), voxels)


def test_components_of_a_mask_have_tight_boxes(tmp_path, voxels, mask):
    write(tmp_path / 'a_image.nrrd', voxels)
    write(tmp_path / 'a_label.nrrd', (mask == 1).astype(np.uint8))
    convert_volumes([tmp_path], [tmp_path], tmp_path / 'out', SETTINGS)
    scan = only_scan(tmp_path / 'out')
    assert scan['scan_id'] == 'a_image' and scan['annotated']
    np.testing.assert_allclose(boxes_of(scan), [[1, 2, 4, 3, 5, 8], [6, 10, 1, 7, 11, 2]])
    block = scan['instances'][0]
    # 2 voxels of 2 mm, 3 of 1 mm, 4 of 0.5 mm; center index (5.5, 3, 1.5)
    assert block['size'] == [4.0, 3.0, 2.0]
    np.testing.assert_allclose(block['center'], [10 + 2.75, -20 + 3, 30 + 3])
    assert block['diameter'] == pytest.approx(24 ** (1 / 3))


@pytest.mark.parametrize(
    'mode, expected',
    [
        ('auto', [[1, 2, 1, 7, 11, 8], [6, 10, 14, 7, 11, 15]]),
        ('values', [[1, 2, 1, 7, 11, 8], [6, 10, 14, 7, 11, 15]]),
        ('components', [[1, 2, 4, 3, 5, 8], [6, 10, 1, 7, 11, 2], [6, 10, 14, 7, 11, 15]]),
    ],
)
def test_values_or_components_of_a_label_image(tmp_path, voxels, mask, mode, expected):
    write(tmp_path / 'a.nrrd', voxels)
    write(tmp_path / 'masks/a.nrrd', mask)
    convert_volumes(
        [tmp_path / 'a.nrrd'],
        [tmp_path / 'masks'],
        tmp_path / 'out',
        ConvertSettings(instances=mode),
    )
    np.testing.assert_allclose(boxes_of(only_scan(tmp_path / 'out')), expected)


def test_mask_and_image_are_turned_together(tmp_path, voxels, mask):
    direction = (0, -1, 0, 0, 0, 1, -1, 0, 0)
    voxels[mask == 1] = 3000
    write(tmp_path / 'a.nrrd', voxels, direction)
    write(tmp_path / 'a_seg.nrrd', (mask == 1).astype(np.uint8), direction)
    convert_volumes([tmp_path], [tmp_path], tmp_path / 'out', SETTINGS)
    scan = only_scan(tmp_path / 'out')
    volume = np.load(tmp_path / 'out' / scan['volume'])
    inside = np.zeros(volume.shape, bool)
    for z1, y1, x1, z2, y2, x2 in boxes_of(scan).round().astype(int):
        inside[z1:z2, y1:y2, x1:x2] = True
    np.testing.assert_array_equal(inside, volume == 3000)


def test_empty_mask_is_a_scan_without_lesions(tmp_path, voxels):
    write(tmp_path / 'a.nrrd', voxels)
    write(tmp_path / 'a_mask.nrrd', np.zeros(voxels.shape, np.uint8))
    report = convert_volumes([tmp_path], [tmp_path], tmp_path / 'out', SETTINGS)
    scan = only_scan(tmp_path / 'out')
    assert scan['annotated'] and scan['instances'] == [] and report.lesions == 0


def test_scan_without_a_mask_is_not_annotated(tmp_path, voxels, mask):
    for name in 'ab':
        write(tmp_path / f'{name}.nrrd', voxels)
    write(tmp_path / 'b_mask.nrrd', mask)
    write(tmp_path / 'c_mask.nrrd', mask)
    report = convert_volumes([tmp_path], [tmp_path], tmp_path / 'out', SETTINGS)
    scans = read_index(tmp_path / 'out/index.json')['scans']
    assert [scan['annotated'] for scan in scans] == [False, True]
    assert report.missing == ['c_mask']


def test_csv_with_classes_boxes_and_ignored(tmp_path, voxels):
    write(tmp_path / '007.nii.gz', voxels)
    write(tmp_path / '008.nii.gz', voxels)
    (tmp_path / 'a.csv').write_text(
        'seriesuid,coordX,coordY,coordZ,diameter_mm,sizeX,sizeY,sizeZ,class,ignore\n'
        '007,12,-15,36,4,,,,node,\n'
        '007,12,-15,38,,1,2,4,mass,1\n'
    )
    report = convert_volumes([tmp_path], [tmp_path / 'a.csv'], tmp_path / 'out', SETTINGS)
    index = read_index(tmp_path / 'out/index.json')
    assert index['classes'] == ['mass', 'node'] and report.lesions == 1
    node, mass = index['scans'][0]['instances']
    assert node == dict(center=[12, -15, 36], size=[4, 4, 4], diameter=4, label=1, ignore=False)
    assert mass['size'] == [4, 2, 1] and mass['diameter'] == pytest.approx(2)
    assert mass['label'] == 0 and mass['ignore']
    assert index['scans'][1]['annotated'] and index['scans'][1]['instances'] == []
    np.testing.assert_allclose(boxes_of(index['scans'][0])[0], [2.5, 3.5, 0.5, 4.5, 7.5, 8.5])


@pytest.mark.parametrize(
    'content, message',
    [
        ('a,b\n1,2\n', 'lacks the columns seriesuid, coordX'),
        ('seriesuid,coordX,coordY,coordZ\nx,1,2,3\n', 'lacks the columns diameter_mm'),
        ('seriesuid,coordX,coordY,coordZ,diameter_mm\nx,1,2,3,5\nx,1,?,3,5\n', 'line 3: coordY'),
        ('seriesuid,coordX,coordY,coordZ,diameter_mm\nx,1,2,nan,5\n', 'line 2: coordZ must be'),
        (
            'seriesuid,coordX,coordY,coordZ,diameter_mm\nx,1,2,3,-1\n',
            'line 2: a lesion must have a',
        ),
        ('seriesuid,coordX,coordY,coordZ,diameter_mm\nx,1,2\n', 'line 2: expected 5 values'),
        ('seriesuid,coordX,coordY,coordZ,diameter_mm,class\nx,1,2,3,5,cyst\n', "class 'cyst'"),
        ('seriesuid,coordX,coordY,coordZ,diameter_mm,ignore\nx,1,2,3,5,maybe\n', 'ignore must be'),
    ],
)
def test_wrong_csv_is_named_with_its_line(tmp_path, content, message):
    path = tmp_path / 'wrong.csv'
    path.write_text(content)
    with pytest.raises(ValueError, match=f'wrong.csv.*{message}'):
        read_annotations(path, ['lesion'])


def test_wrong_paths_are_named(tmp_path, voxels, mask):
    def convert(paths, annotations=()):
        return convert_volumes(paths, annotations, tmp_path / 'out', SETTINGS)

    with pytest.raises(ValueError, match='nowhere: no such file or folder'):
        convert([tmp_path / 'nowhere'])
    with pytest.raises(ValueError, match='no volumes in'):
        convert([tmp_path])
    write(tmp_path / 'a.nrrd', voxels)
    write(tmp_path / 'b_mask.nrrd', mask)
    with pytest.raises(ValueError, match=r'none of 1 masks belongs .* scan a should'):
        convert([tmp_path], [tmp_path])
    with pytest.raises(ValueError, match=r'lesions\.csv: no such file'):
        convert([tmp_path], [tmp_path / 'lesions.csv'])
    write(tmp_path / 'other/a.nii', voxels)
    with pytest.raises(ValueError, match="would both be the scan 'a'"):
        convert([tmp_path])


@pytest.mark.parametrize('kind', ['4D', 'vector'])
def test_images_that_are_no_scalar_volumes_are_refused(tmp_path, voxels, kind):
    write(tmp_path / 'good.nrrd', voxels)
    image = (
        sitk.Image([4, 4, 4, 2], sitk.sitkInt16)
        if kind == '4D'
        else sitk.Image([4, 4, 4], sitk.sitkVectorInt16, 3)
    )
    sitk.WriteImage(image, str(tmp_path / 'odd.nrrd'))
    report = convert_volumes([tmp_path], [], tmp_path / 'out', SETTINGS)
    assert report.scans == 1 and 'odd.nrrd: expected a 3D image' in report.failures['odd']


SLP = (0, 0, -1, 0, 1, 0, 1, 0, 0)  # the axes of the file run to head, back and right


def test_sizes_of_a_csv_are_along_the_axes_of_the_world(tmp_path, voxels, mask):
    """A file stored along other axes: its mask and the same box in a CSV file agree."""
    write(tmp_path / 'a.nrrd', voxels, SLP)
    write(tmp_path / 'masks/a.nrrd', (mask == 2).astype(np.uint8), SLP)
    # The voxel (z 6, y 10, x 14) of 0.5 x 1 x 2 mm lies 2 * 6 mm to the right of the first one, 10
    # mm behind and 0.5 * 14 mm above it, and is 2 mm wide, 1 mm deep and 0.5 mm high.
    (tmp_path / 'a.csv').write_text(
        'seriesuid,coordX,coordY,coordZ,sizeX,sizeY,sizeZ\na,-2,-10,37,2,1,0.5\n'
    )
    for name in ('masks', 'a.csv'):
        convert_volumes([tmp_path / 'a.nrrd'], [tmp_path / name], tmp_path / 'out', SETTINGS)
        scan = only_scan(tmp_path / 'out')
        (instance,) = scan['instances']
        assert instance['size'] == [0.5, 1, 2] and instance['center'] == [-2, -10, 37]
        box = boxes_of(scan)[0]
        np.testing.assert_allclose(box[3:] - box[:3], 1)


def test_csv_about_other_scans_is_refused(tmp_path, voxels):
    write(tmp_path / 'ct1.nii.gz', voxels)
    path = tmp_path / 'a.csv'
    header = 'seriesuid,coordX,coordY,coordZ,diameter_mm\n'
    path.write_text(header + 'scan2,1,2,3,5\n')
    with pytest.raises(ValueError, match=r"a\.csv: none of its 1 .*'scan2'.*like 'ct1';"):
        convert_volumes([tmp_path], [path], tmp_path / 'out', SETTINGS)
    path.write_text(header)
    report = convert_volumes([tmp_path], [path], tmp_path / 'out', SETTINGS)
    assert report.missing == [] and only_scan(tmp_path / 'out')['annotated']


@pytest.mark.parametrize('annotations', ['scans/masks', 'scans/masks/a.nrrd'])
def test_masks_below_the_scans_are_no_scans(tmp_path, voxels, mask, annotations):
    write(tmp_path / 'scans/a.nrrd', voxels)
    write(tmp_path / 'scans/masks/a.nrrd', mask)
    convert_volumes([tmp_path / 'scans'], [tmp_path / annotations], tmp_path / 'out', SETTINGS)
    scan = only_scan(tmp_path / 'out')
    assert len(scan['instances']) == 2
    np.testing.assert_array_equal(np.load(tmp_path / 'out' / scan['volume']), voxels)


@pytest.mark.parametrize('before', '_-.')
@pytest.mark.parametrize('word', ['label', 'Labels', 'mask', 'masks', 'seg', 'segmentation'])
def test_names_that_end_like_masks(tmp_path, voxels, mask, before, word):
    write(tmp_path / 'p1.mha', voxels)
    write(tmp_path / f'p1{before}{word}.nii.gz', (mask == 1).astype(np.uint8))
    convert_volumes([tmp_path], [], tmp_path / 'out', SETTINGS)
    assert only_scan(tmp_path / 'out')['scan_id'] == 'p1'
    report = convert_volumes([tmp_path], [tmp_path], tmp_path / 'out', SETTINGS)
    assert report.scans == 1 and report.lesions == 2 and not report.missing


@pytest.mark.parametrize('beside', ['run.json', 'findings.json'])
def test_findings_of_predict_are_no_scan(tmp_path, voxels, mask, beside):
    write(tmp_path / 'p1.mha', voxels)
    write(tmp_path / 'out/p1/findings.nii.gz', mask)
    (tmp_path / 'out/p1' / beside).write_text('{}')
    write(tmp_path / 'other/findings.nii.gz', voxels)  # of the same name, with nothing beside
    report = convert_volumes([tmp_path], [], tmp_path / 'converted', SETTINGS)
    assert report.scans == 2
    np.testing.assert_array_equal(np.load(tmp_path / 'converted/volumes/findings.npy'), voxels)


@pytest.mark.tried(
    'volumes',
    'a mask whose name is not that of one, or an image in another unit than HU',
    'converted; the report names it and its lowest value',
)
def test_scans_without_air_are_told(tmp_path, voxels, mask):
    write(tmp_path / 'scans/p1.mha', voxels)
    write(tmp_path / 'scans/p1_tumor.mha', mask)
    (tmp_path / 'a.csv').write_text('seriesuid,coordX,coordY,coordZ,diameter_mm\np1,12,-15,36,4\n')
    for _ in range(2):  # the second time from the cache
        report = convert_volumes(
            [tmp_path / 'scans'], [tmp_path / 'a.csv'], tmp_path / 'out', SETTINGS
        )
        assert report.notes == {NO_AIR: ['p1_tumor: its lowest value is 0']}


def test_a_mask_is_that_of_the_scan_of_its_name_alone(tmp_path, voxels, mask):
    for name in ('p1', 'p1_ct', 'p2_ct'):
        write(tmp_path / f's/{name}.mha', voxels)
    for name in ('p1', 'p2'):
        write(tmp_path / f'm/{name}.nii.gz', (mask == 1).astype(np.uint8))
    report = convert_volumes([tmp_path / 's'], [tmp_path / 'm'], tmp_path / 'out', SETTINGS)
    scans = read_index(tmp_path / 'out/index.json')['scans']
    assert {scan['scan_id']: scan['annotated'] for scan in scans} == {
        'p1': True,
        'p1_ct': False,
        'p2_ct': True,
    }
    assert report.lesions == 4 and not report.missing


@pytest.mark.tried(
    'masks', 'one mask for two scans, as p1 for p1_ct and p1_image', 'error with all three names'
)
def test_a_mask_of_two_scans_is_refused(tmp_path, voxels, mask):
    for name in ('p1_ct', 'p1_image'):
        write(tmp_path / f's/{name}.mha', voxels)
    write(tmp_path / 'm/p1.nii.gz', mask)
    with pytest.raises(
        ValueError, match=r'p1\.nii\.gz would be .* both .*_ct\.mha and .*_image\.mha'
    ):
        convert_volumes([tmp_path / 's'], [tmp_path / 'm'], tmp_path / 'out', SETTINGS)
    write(tmp_path / 'm/p1_ct.nii.gz', mask)  # then the other one is that of the image
    report = convert_volumes([tmp_path / 's'], [tmp_path / 'm'], tmp_path / 'out', SETTINGS)
    assert report.scans_with_lesions == 2


@pytest.mark.tried(
    'volumes',
    'links to folders in the folder with the scans',
    'not followed; converters and `predict` tell how many and where',
)
def test_linked_folders_are_told(tmp_path, voxels):
    write(tmp_path / 'real/p2.mha', voxels)
    (tmp_path / 'lnk/below').mkdir(parents=True)
    (tmp_path / 'lnk/p2').symlink_to('../real')
    (tmp_path / 'lnk/round').symlink_to('.')  # to what is searched
    told = f'1 {LINKED}, the first is {tmp_path}/lnk/p2'
    assert note_of_links([tmp_path / 'lnk']) == told
    with pytest.raises(ValueError, match=f'no volumes in .*; {told}$'):
        convert_volumes([tmp_path / 'lnk'], [], tmp_path / 'out', SETTINGS)
    write(tmp_path / 'lnk/below/p1.mha', voxels)
    report = convert_volumes([tmp_path / 'lnk'], [], tmp_path / 'out', SETTINGS)
    assert report.scans == 1
    assert report.notes == {LINKED: [f'{tmp_path}/lnk/p2: {tmp_path}/real']}
    both = [tmp_path / 'lnk', tmp_path / 'real']
    report = convert_volumes(both, [], tmp_path / 'out', SETTINGS)
    assert report.scans == 2 and not report.notes
