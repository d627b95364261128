"""What the voxels of a mask mean, and where they lie."""

import numpy as np
import pytest
import SimpleITK as sitk

from mmdet3d_medical.cli.conversion import parse_settings
from mmdet3d_medical.cli.main import parse
from mmdet3d_medical.datasets.converters import ConvertSettings, convert_volumes
from mmdet3d_medical.datasets.converters.lung_mask import fill_outside_lungs
from mmdet3d_medical.datasets.converters.lungs import lung_box
from mmdet3d_medical.datasets.converters.masks import (
    AMBIGUOUS,
    OTHER_GRID,
    UNNAMED,
    lesions_of_mask,
)
from mmdet3d_medical.datasets.index import read_index
from mmdet3d_medical.structures import VolumeGeometry

SHAPE = (40, 60, 60)
NEAR, FAR = np.s_[2:6, 2:6, 2:6], np.s_[30:34, 50:54, 50:54]
OTHER = np.s_[20:24, 20:24, 20:24]


def write(
    path, places=(), shape=SHAPE, spacing=(1, 1, 1), origin=(0, 0, 0), direction=None, kind=np.uint8
):
    """A mask with values at places; returns its path."""
    voxels = np.zeros(shape, kind)
    for value, place in places:
        voxels[place] = value
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    if direction:
        image.SetDirection(direction)
    sitk.WriteImage(image, str(path))
    return path


def found(path, **how):
    """(label, center (x, y, z), size (z, y, x)) of each lesion."""
    return [
        (i['label'], tuple(i['center']), tuple(i['size']))
        for i in lesions_of_mask(path, **how).instances
    ]


# Voxel 2:6 has its center at (2 + 6 - 1) / 2 = 3.5 mm.
IN_NEAR, IN_FAR = ((3.5,) * 3, (4,) * 3), ((51.5, 51.5, 31.5), (4,) * 3)
IN_OTHER = ((21.5,) * 3, (4,) * 3)


@pytest.mark.tried(
    'masks',
    'value = class, with `--classes 1=tumor 2=cyst`',
    'each connected component is a lesion of its class',
)
def test_classes(tmp_path):
    path = write(tmp_path / 'a.nii.gz', [(1, NEAR), (1, FAR), (3, OTHER)])
    assert found(path, classes=[(1, 'tumor'), (3, 'cyst')]) == [
        (0, *IN_NEAR),
        (0, *IN_FAR),
        (1, *IN_OTHER),
    ]
    result = lesions_of_mask(path, classes=[(3, 'cyst'), (4, 'scar')])
    assert [i['label'] for i in result.instances] == [0] and result.notes == {UNNAMED: '1'}


def test_one_value_is_lesions_and_several_values_in_a_place_each_are_lesions(tmp_path):
    one = write(tmp_path / 'a.nii.gz', [(7, NEAR), (7, FAR)])
    assert sorted(found(one)) == [(0, *IN_NEAR), (0, *IN_FAR)]
    several = write(tmp_path / 'b.nii.gz', [(1, NEAR), (2, np.s_[2:6, 2:6, 6:8]), (9, FAR)])
    assert found(several) == [(0, *IN_NEAR), (0, (6.5, 3.5, 3.5), (4, 4, 2)), (0, *IN_FAR)]


@pytest.mark.tried(
    'masks',
    'several values, one of them in places far apart',
    'the tools stop with the advice to give `--classes` or `--instances`',
)
def test_what_may_be_classes_or_lesions(tmp_path):
    path = write(tmp_path / 'a.nii.gz', [(1, NEAR), (1, FAR), (2, OTHER)])
    result = lesions_of_mask(path)
    assert len(result.instances) == 3 and result.notes == {AMBIGUOUS: 'value 1 lies in 2 places'}
    assert len(found(path, mode='components')) == 3
    assert found(path, mode='values')[0] == (0, (27.5, 27.5, 17.5), (32, 52, 52))
    with pytest.raises(ValueError, match='a.nii.gz: value 1 lies in 2 places.*--classes 1=NAME'):
        lesions_of_mask(path, mode='unambiguous')


def test_parts_of_one_lesion_are_near(tmp_path):
    """Slices 4 mm apart of which every other one is drawn: gaps of 4 mm, then one of 12 mm."""
    drawn = [(1, np.s_[k, 2:6, 2:6]) for k in (2, 4, 6)]
    path = write(tmp_path / 'a.nii.gz', [*drawn, (2, OTHER)], spacing=(1, 1, 4))
    assert len(found(path, mode='unambiguous')) == 2
    path = write(
        tmp_path / 'a.nii.gz', [*drawn, (1, np.s_[10, 2:6, 2:6]), (2, OTHER)], spacing=(1, 1, 4)
    )
    with pytest.raises(ValueError, match='value 1 lies in 4 places'):
        lesions_of_mask(path, mode='unambiguous')


def test_the_command_line_is_strict():
    def settings(*words):
        return parse_settings(parse('convert-volumes', ['scans', '--out', 'x', *words]))

    assert settings().instances == 'unambiguous'
    assert settings('--instances', 'auto').instances == 'auto'
    assert settings('--classes', '2=cyst', '1=large tumor').classes == (
        (1, 'large tumor'),
        (2, 'cyst'),
    )
    for wrong in (['tumor'], ['x=tumor'], ['1='], ['0=tumor']):
        with pytest.raises((SystemExit, ValueError)):
            settings('--classes', *wrong)
    for wrong in (['1=a', '1=b'], ['1=a', '2=a']):
        with pytest.raises(ValueError, match='different'):
            settings('--classes', *wrong)


def test_names_of_classes_come_into_the_index(tmp_path):
    (tmp_path / 's').mkdir()
    (tmp_path / 'm').mkdir()
    noise = np.random.default_rng(0).normal(-800, 50, SHAPE).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(noise), str(tmp_path / 's/a.nii.gz'))
    write(tmp_path / 'm/a.nii.gz', [(1, NEAR), (2, FAR), (2, OTHER)])
    settings = ConvertSettings(classes=((1, 'tumor'), (2, 'cyst')))
    report = convert_volumes([tmp_path / 's'], [tmp_path / 'm'], tmp_path / 'o', settings)
    index = read_index(report.index_path)
    assert index['classes'] == ['tumor', 'cyst']
    assert [i['label'] for i in index['scans'][0]['instances']] == [0, 1, 1]
    (tmp_path / 'a.csv').write_text('seriesuid,coordX,coordY,coordZ,diameter_mm\na,1,1,1,3\n')
    with pytest.raises(ValueError, match='a.csv: --classes'):
        convert_volumes([tmp_path / 's'], [tmp_path / 'a.csv'], tmp_path / 'o', settings)


# ----------------------------------------------------------------------------- where it lies

SCAN = VolumeGeometry((-20.0, -20.0, -25.0), (0.7, 0.7, 1.25), (1, 0, 0, 0, 1, 0, 0, 0, 1), SHAPE)
PLACE = dict(spacing=(0.7, 0.7, 1.25), origin=(-20, -20, -25))


@pytest.mark.parametrize(
    'changes',
    [
        {},
        dict(origin=(-20.0001, -20, -25)),
        dict(direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1), origin=(-20 + 59 * 0.7, -20 + 59 * 0.7, -25)),
    ],
    ids=['same', 'rounded', 'stored the other way round'],
)
def test_a_mask_on_its_scan(changes, tmp_path):
    path = write(tmp_path / 'a.nii.gz', [(1, FAR)], **{**PLACE, **changes})
    result = lesions_of_mask(path, SCAN)
    assert len(result.instances) == 1 and not result.notes


@pytest.mark.tried(
    'masks',
    'as many voxels as the scan, but another origin, spacing or direction',
    'the scan fails, naming both geometries',
)
@pytest.mark.parametrize(
    'changes',
    [
        dict(origin=(-20, -20, -40)),
        dict(spacing=(0.7, 0.7, 1.0)),
        dict(spacing=(1, 1, 1)),
        dict(spacing=(1, 1, 1), origin=(0, 0, 0)),
        dict(direction=(-1, 0, 0, 0, 1, 0, 0, 0, -1)),
        dict(direction=(0, 0, 1, 1, 0, 0, 0, 1, 0)),
    ],
)
def test_a_mask_without_the_header_of_its_scan_is_refused(changes, tmp_path):
    path = write(tmp_path / 'a.nii.gz', [(1, NEAR)], **{**PLACE, **changes})
    with pytest.raises(ValueError, match=r'a.nii.gz: the mask has as many voxels.*\[-20.0, -20.0'):
        lesions_of_mask(path, SCAN)


@pytest.mark.tried(
    'masks',
    'a finer or cut grid on the same body',
    'lesions lie where the mask says; the report tells',
)
def test_a_mask_on_another_grid_keeps_its_places(tmp_path):
    whole = write(tmp_path / 'a.nii.gz', [(1, NEAR)], **PLACE)
    # Twice as fine: the first voxel's center lies a quarter of a coarse voxel before.
    fine = write(
        tmp_path / 'b.nii.gz',
        [(1, np.s_[4:12, 4:12, 4:12])],
        shape=tuple(2 * side for side in SHAPE),
        spacing=(0.35, 0.35, 0.625),
        origin=(-20 - 0.175, -20 - 0.175, -25 - 0.3125),
    )
    coarse, other = lesions_of_mask(whole, SCAN), lesions_of_mask(fine, SCAN)
    assert list(other.notes) == [OTHER_GRID] and not coarse.notes
    for key in ('center', 'size'):
        np.testing.assert_allclose(other.instances[0][key], coarse.instances[0][key], atol=1e-5)


@pytest.mark.tried('masks', 'lesions outside of the scan', 'the scan fails')
def test_lesions_outside_of_the_scan_are_refused(tmp_path):
    """The scan ends at z = -25 + 39.5 * 1.25 = 24.4 mm, the mask goes on for 20 slices."""
    path = write(tmp_path / 'a.nii.gz', [(1, np.s_[50:54, 2:6, 2:6])], shape=(60, 60, 60), **PLACE)
    with pytest.raises(ValueError, match='1 of 1 lesions lie outside of the scan, the first at'):
        lesions_of_mask(path, SCAN)


@pytest.mark.tried(
    'masks', 'less than half of the mask on the scan', 'the scan fails, also without lesions'
)
@pytest.mark.parametrize('places', [[], [(1, NEAR)]])
@pytest.mark.parametrize('origin, share', [((500, 0, 0), 0), ((-20, -20, 12.5), 30)])
def test_a_mask_beside_its_scan_is_refused(origin, share, places, tmp_path):
    """The scan begins 30 slices of 1.25 mm before the second mask, so 10 of 30 slices are on it;
    of the points that are tried, 3 of 10 are."""
    path = write(tmp_path / 'a.nii.gz', places, (30, 60, 60), (0.7, 0.7, 1.25), origin)
    with pytest.raises(ValueError, match=f'a.nii.gz: the mask lies beside its scan, {share}%'):
        lesions_of_mask(path, SCAN)


@pytest.mark.parametrize(
    'shape, origin',
    [
        ((10, 10, 10), (0, 0, 0)),
        ((100, 60, 60), (-20, -20, -50)),
        ((30, 60, 60), (-20, -20, -12.5)),
    ],
    ids=['within', 'around', 'of some slices'],
)
def test_a_mask_may_be_smaller_or_larger_than_its_scan(shape, origin, tmp_path):
    path = write(tmp_path / 'a.nii.gz', [], shape, (0.7, 0.7, 1.25), origin)
    assert list(lesions_of_mask(path, SCAN).notes) == [OTHER_GRID]


def test_an_empty_mask_is_a_scan_without_lesions(tmp_path):
    path = write(tmp_path / 'a.nii.gz', **PLACE)
    for mode in ('auto', 'unambiguous', 'components', 'values'):
        assert lesions_of_mask(path, SCAN, mode).instances == []
    assert lesions_of_mask(path, SCAN, classes=[(1, 'tumor')]).instances == []


@pytest.mark.tried('masks', 'a lung mask with the voxels of its scan elsewhere', 'the scan fails')
def test_a_lung_mask_without_its_header_is_refused(tmp_path):
    image = sitk.Image(60, 60, 40, sitk.sitkInt16)
    image.SetSpacing((0.7, 0.7, 1.25))
    mask = write(tmp_path / 'lungs.mhd', [(3, OTHER)], spacing=(0.7, 0.7, 1.25))
    assert lung_box(image, mask, 0).tolist() == [20, 20, 20, 24, 24, 24]
    mask = write(tmp_path / 'lungs.mhd', [(3, OTHER)], spacing=(1, 1, 1))
    for use in (lambda: lung_box(image, mask, 0), lambda: fill_outside_lungs(image, mask, 0, 0)):
        with pytest.raises(ValueError, match='lungs.mhd: the mask has as many voxels'):
            use()
