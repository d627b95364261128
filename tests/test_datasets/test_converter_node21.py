"""Cubes of nodules in the layout of node21challenge/node21_generation_baseline."""

import numpy as np
import pytest
import SimpleITK as sitk

from mmdet3d_medical.datasets import read_index
from mmdet3d_medical.datasets.converters import ConvertSettings, convert_node21_crops
from mmdet3d_medical.datasets.splits import make_splits
from mmdet3d_medical.structures import VolumeGeometry

SIDE = 20
COLUMNS = 'seriesuid,coordX,coordY,coordZ,diameter_mm\n'
FLIPPED = (-1, 0, 0, 0, -1, 0, 0, 0, 1)


def write_cube(folder, series, number, origin, direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)):
    """A cube of 1 mm voxels with a nodule of 4 x 6 x 8 voxels (z, y, x), and its mask."""
    folder.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((SIDE,) * 3, np.uint8)
    mask[8:12, 7:13, 6:14] = 1
    hu = np.random.default_rng(number).normal(-850, 20, mask.shape)
    for kind, voxels in (('dcm', np.where(mask, 40, hu).astype(np.int16)), ('seg', mask)):
        image = sitk.GetImageFromArray(voxels)
        image.SetOrigin(origin)
        image.SetDirection(direction)
        sitk.WriteImage(image, str(folder / f'{series}_{kind}_{number}.mha'))


@pytest.fixture
def cubes(tmp_path):
    """Two cubes of one series that share a nodule, and a flipped one of another."""
    folder = tmp_path / 'repository' / 'nodule_patches'
    write_cube(folder, '1.2', 0, (0.0, 0.0, 0.0))
    write_cube(folder, '1.2', 1, (15.0, 0.0, 0.0))
    write_cube(folder, '1.3', 0, (0.0, 0.0, 0.0), FLIPPED)
    return folder.parent


def scans_of(report):
    return {scan['scan_id']: scan for scan in read_index(report.index_path)['scans']}


def test_the_mask_is_the_lesion_without_tables(cubes, tmp_path):
    scans = scans_of(convert_node21_crops(cubes, tmp_path / 'out', ConvertSettings()))
    assert list(scans) == ['1.2_dcm_0', '1.2_dcm_1', '1.3_dcm_0']
    for scan in scans.values():
        (lesion,) = scan['instances']
        geometry = VolumeGeometry.from_dict(scan['geometry'])
        box = geometry.world_to_box(np.array([lesion['center']]), np.array([lesion['size']]))[0]
        assert (box[3:] - box[:3]).tolist() == [4, 6, 8]
    # Stored from left to right there, so the volume is turned to LPS: x runs the other way.
    assert scans['1.3_dcm_0']['instances'][0]['center'] == pytest.approx([-9.5, -9.5, 9.5])


def test_tables_give_all_nodules_of_a_cube_and_what_reaches_into_it(cubes, tmp_path):
    lesions, excluded = tmp_path / 'a.csv', tmp_path / 'e.csv'
    # In the middle of cube 0, whose last voxel edge is x = 19.5; 6 mm wide, it ends at 12.5. The
    # second one lies in both cubes (from 14.5 on), the third only in cube 1 but reaches to 19.
    lesions.write_text(
        COLUMNS + '1.2,9.5,9.5,9.5,6\n1.2,17,9.5,9.5,4\n1.2,22,9.5,9.5,6\n9.9,9.5,9.5,9.5,6\n'
    )
    excluded.write_text(COLUMNS + '1.2,5,5,5,-1\n1.2,60,5,5,-1\n')
    out = tmp_path / 'out'
    report = convert_node21_crops(cubes, out, ConvertSettings(), lesions, excluded)
    scans = scans_of(report)
    found = {
        name: [(i['center'][0], i['diameter'], i['ignore']) for i in scan['instances']]
        for name, scan in scans.items()
    }
    assert found == {
        '1.2_dcm_0': [(9.5, 6, False), (17, 4, False), (22, 6, True), (5, 10, True)],
        '1.2_dcm_1': [(17, 4, False), (22, 6, False)],
        '1.3_dcm_0': [],
    }
    assert all(scan['annotated'] for scan in scans.values())


def test_cubes_of_a_scan_stay_together(cubes, tmp_path):
    scans = scans_of(convert_node21_crops(cubes, tmp_path / 'out', ConvertSettings()))
    assert [scan['patient'] for scan in scans.values()] == ['1.2', '1.2', '1.3']
    lists = make_splits(list(scans.values()), None, None, [], [], 0)
    sides = [{name.split('_')[0] for name in lists[part]} for part in ('train', 'test')]
    assert not set.intersection(*sides)


def test_what_is_missing_is_named(cubes, tmp_path):
    with pytest.raises(ValueError, match='expected cubes like'):
        convert_node21_crops(tmp_path / 'out', tmp_path / 'o', ConvertSettings())
    with pytest.raises(ValueError, match='--excluded needs --annotations'):
        convert_node21_crops(cubes, tmp_path / 'o', ConvertSettings(), excluded='e.csv')
    (cubes / 'nodule_patches' / '1.3_seg_0.mha').unlink()
    with pytest.raises(ValueError, match='1.3_dcm_0.mha has no mask 1.3_seg_0.mha'):
        convert_node21_crops(cubes, tmp_path / 'o', ConvertSettings())
