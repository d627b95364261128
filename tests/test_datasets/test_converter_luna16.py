"""LUNA16 conversion: orientation, resampling, resuming, reports."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from mmdet3d_medical.datasets.converters import ConvertSettings, VolumeCache, convert_luna16
from mmdet3d_medical.datasets.index import read_index
from mmdet3d_medical.structures import VolumeGeometry

NATIVE = ConvertSettings()
ISOTROPIC = ConvertSettings(spacing=(1.0, 1.0, 1.0))


def load(out):
    scans = {scan['scan_id']: scan for scan in read_index(out / 'index.json')['scans']}
    volumes = {key: np.load(out / scan['volume']) for key, scan in scans.items()}
    return scans, volumes


def snapshot(out):
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(out.rglob('*'))
        if path.is_file()
    }


@pytest.mark.parametrize('settings', [NATIVE, ISOTROPIC, ConvertSettings(spacing=(3.0, 1.0, 0.7))])
def test_bright_voxels_lie_where_the_annotation_says(luna16_dir, tmp_path, settings):
    convert_luna16(luna16_dir, tmp_path / 'out', settings)
    scans, volumes = load(tmp_path / 'out')
    assert set(scans) == {'straight', 'flipped', 'turned', 'sagittal'}
    for scan_id, scan in scans.items():
        geometry = VolumeGeometry.from_dict(scan['geometry'])
        bright = np.argwhere(volumes[scan_id] > -400)
        centroid = geometry.index_to_world(bright.mean(axis=0)[None])[0]
        np.testing.assert_allclose(centroid, scan['instances'][0]['center'], atol=0.3)
        extent = (np.ptp(bright, axis=0) + 1) * geometry.spacing_zyx
        assert (np.abs(extent - 10) <= 1.01 * np.maximum(geometry.spacing_zyx, 0.8) + 1).all()


def test_all_scans_are_brought_into_lps_order(luna16_dir, tmp_path):
    convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    scans, volumes = load(tmp_path / 'out')
    for scan in scans.values():
        axes = np.reshape(scan['geometry']['direction'], (3, 3))
        assert (np.diag(axes) > 0.98).all()
    original = sitk.GetArrayFromImage(sitk.ReadImage(str(luna16_dir / 'subset1/flipped.mhd')))
    np.testing.assert_array_equal(volumes['flipped'], original[:, ::-1, ::-1])
    # 'sagittal' holds (z, y, x) = left, head, back; head, back, left was wanted
    original = sitk.GetArrayFromImage(sitk.ReadImage(str(luna16_dir / 'subset1/sagittal.mhd')))
    np.testing.assert_array_equal(volumes['sagittal'], original.transpose(1, 2, 0))


def test_linear_resampling_keeps_a_ramp_of_world_coordinates(luna16_dir, tmp_path):
    path = luna16_dir / 'subset0' / 'turned.mhd'
    image = sitk.ReadImage(str(path))
    geometry = VolumeGeometry.from_sitk(image)
    index = np.indices(geometry.shape).reshape(3, -1).T
    ramp = geometry.index_to_world(index) @ [3.0, -2.0, 4.0] + 1300
    filled = sitk.GetImageFromArray(ramp.reshape(geometry.shape).astype(np.float32))
    filled.CopyInformation(image)
    sitk.WriteImage(filled, str(path))
    convert_luna16(luna16_dir, tmp_path / 'out', ConvertSettings(spacing=(1.5, 1.0, 1.0)))
    scans, volumes = load(tmp_path / 'out')
    geometry = VolumeGeometry.from_dict(scans['turned']['geometry'])
    inner = np.indices(geometry.shape)[:, 2:-2, 2:-2, 2:-2].reshape(3, -1).T
    expected = geometry.index_to_world(inner) @ [3.0, -2.0, 4.0] + 1300
    found = volumes['turned'][tuple(inner.T)]
    assert expected.min() > -1000 and np.ptp(expected) > 200
    assert np.abs(found - expected).max() <= 1.01  # rounded in the file's grid and in the new one


def test_spacing_and_field_of_view_of_resampled_volumes(luna16_dir, tmp_path):
    convert_luna16(luna16_dir, tmp_path / 'out', ISOTROPIC)
    geometry = load(tmp_path / 'out')[0]['straight']['geometry']
    assert geometry['spacing'] == [1.0, 1.0, 1.0]
    # 24 x 2 mm, 36 x 0.8 mm = 28.8 mm, 32 x 0.8 mm = 25.6 mm
    assert geometry['shape'] == [48, 29, 26]
    # the outer corner stays: x: -60 - 0.4 + 0.5, y: 20 - 0.4 + 0.5, z: -300 - 1 + 0.5
    np.testing.assert_allclose(geometry['origin'], [-59.9, 20.1, -300.5])


def test_second_run_changes_nothing(luna16_dir, tmp_path):
    convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    before = snapshot(tmp_path / 'out')
    convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    after = snapshot(tmp_path / 'out')
    assert {k: v[0] for k, v in before.items()} == {k: v[0] for k, v in after.items()}
    assert all(
        before[k][1] == after[k][1] for k in before if k not in ('index.json', 'conversion.csv')
    )
    assert sum(name.endswith('.npy') for name in after) == 4


def test_workers_give_the_same_bytes(luna16_dir, tmp_path):
    convert_luna16(luna16_dir, tmp_path / 'one', ISOTROPIC, workers=1)
    convert_luna16(luna16_dir, tmp_path / 'two', ISOTROPIC, workers=2)
    one, two = snapshot(tmp_path / 'one'), snapshot(tmp_path / 'two')
    assert len(one) == 10 and {k: v[0] for k, v in one.items()} == {k: v[0] for k, v in two.items()}


@pytest.mark.parametrize('damage', ['cut', 'gone', 'no record', 'broken record'])
def test_damaged_volume_is_made_again(luna16_dir, tmp_path, damage):
    convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    before = snapshot(tmp_path / 'out')
    volume, record = (tmp_path / 'out/volumes' / f'turned.{end}' for end in ('npy', 'json'))
    if damage == 'cut':
        volume.write_bytes(volume.read_bytes()[:5000])
    elif damage == 'gone':
        volume.unlink()
    elif damage == 'no record':
        record.unlink()
    else:
        record.write_text('{"made_from"')
    convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    after = snapshot(tmp_path / 'out')
    assert {k: v[0] for k, v in before.items()} == {k: v[0] for k, v in after.items()}
    assert after['straight.npy'] == before['straight.npy']  # time included: left alone


def test_interrupted_run_goes_on(luna16_dir, tmp_path, monkeypatch):
    convert_luna16(luna16_dir, tmp_path / 'whole', NATIVE)
    save, saved = VolumeCache._save, []

    def save_two(self, volume, record):
        if len(saved) == 2:
            raise KeyboardInterrupt
        saved.append(record['scan_id'])
        save(self, volume, record)

    monkeypatch.setattr(VolumeCache, '_save', save_two)
    with pytest.raises(KeyboardInterrupt):
        convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    assert not (tmp_path / 'out/index.json').exists()
    half = snapshot(tmp_path / 'out')
    monkeypatch.setattr(VolumeCache, '_save', save)
    convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    after, whole = snapshot(tmp_path / 'out'), snapshot(tmp_path / 'whole')
    assert {k: v[0] for k, v in after.items()} == {k: v[0] for k, v in whole.items()}
    assert all(after[f'{scan_id}.npy'] == half[f'{scan_id}.npy'] for scan_id in saved)


def test_changed_settings_and_changed_files_are_noticed(luna16_dir, tmp_path):
    convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    convert_luna16(luna16_dir, tmp_path / 'out', ISOTROPIC)
    scans, volumes = load(tmp_path / 'out')
    assert volumes['straight'].shape == (48, 29, 26) and scans['straight']['subset'] == 0
    image = sitk.ReadImage(str(luna16_dir / 'subset0/straight.mhd'))
    sitk.WriteImage(image + 7, str(luna16_dir / 'subset0/straight.mhd'))
    convert_luna16(luna16_dir, tmp_path / 'out', ISOTROPIC)
    assert load(tmp_path / 'out')[1]['straight'].min() == -843


def test_broken_scan_is_named_and_the_others_go_on(luna16_dir, tmp_path):
    (luna16_dir / 'subset0/straight.raw').write_bytes(b'too short')
    report = convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    assert set(report.failures) == {'straight'} and report.scans == 3
    assert str(luna16_dir / 'subset0/straight.mhd') in report.failures['straight']
    assert set(load(tmp_path / 'out')[0]) == {'flipped', 'turned', 'sagittal'}


def test_values_that_are_not_finite_are_refused(luna16_dir, tmp_path):
    path = luna16_dir / 'subset0/straight.mhd'
    image = sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkFloat32)
    image[1, 1, 1] = float('nan')
    sitk.WriteImage(image, str(path))
    report = convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    assert 'straight.mhd: has values that are not finite' in report.failures['straight']


def test_report_of_lesions_outside_missing_scans_and_excluded(luna16_dir, tmp_path, capsys):
    with (luna16_dir / 'annotations.csv').open('a') as file:
        file.write('straight,500,0,0,5\nabsent,0,0,0,5\n')
    (luna16_dir / 'annotations_excluded.csv').write_text(
        'seriesuid,coordX,coordY,coordZ,diameter_mm\nflipped,-70,15,-280,-1\n'
    )
    (luna16_dir / 'seriesuids.csv').write_text('straight\nflipped\nturned\nsagittal\nlost\n')
    report = convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    assert (report.scans, report.lesions, report.scans_with_lesions) == (4, 5, 4)
    assert report.outside == ['straight'] and report.missing == ['absent', 'lost']
    scans, _ = load(tmp_path / 'out')
    assert len(scans['straight']['instances']) == 2  # kept: it counts as missed in tests
    ignored = scans['flipped']['instances'][1]
    assert ignored['ignore'] and ignored['diameter'] == 10 and ignored['size'] == [10, 10, 10]
    report.print()
    printed = capsys.readouterr().out
    assert '4 scans, 5 lesions in 4' in printed and 'lost' in printed


def test_folder_without_scans_is_refused(tmp_path):
    with pytest.raises(ValueError, match='expected scans like subset0'):
        convert_luna16(tmp_path, tmp_path / 'out', NATIVE)


def write_lungs(luna16_dir, path='subset0/straight.mhd'):
    """Two lungs, x 4..12 and 18..28, y 6..30, z 5..20, and a trachea reaching up to z 23."""
    image = sitk.ReadImage(str(luna16_dir / path))
    labels = np.zeros((24, 36, 32), np.uint8)
    labels[5:20, 6:30, 4:12], labels[5:20, 6:30, 18:28], labels[20:23, 15:18, 13:16] = 3, 4, 5
    mask = sitk.GetImageFromArray(labels)
    mask.CopyInformation(image)
    folder = luna16_dir / 'seg-lungs-LUNA16'
    folder.mkdir(exist_ok=True)
    sitk.WriteImage(mask, str(folder / path.split('/')[1]))


def test_crop_to_the_lungs_of_the_mask(luna16_dir, tmp_path):
    write_lungs(luna16_dir)
    settings = ConvertSettings(crop='lungs', margin=1.6)
    report = convert_luna16(luna16_dir, tmp_path / 'out', settings)
    scan = load(tmp_path / 'out')[0]['straight']
    # 1.6 mm are 2 voxels in x and y, and 0.8 voxels, hence one, in z; the trachea is not lung
    assert scan['geometry']['shape'] == [20 - 5 + 2, 30 - 6 + 4, 28 - 4 + 4]
    np.testing.assert_allclose(scan['geometry']['origin'], [-60 + 0.8 * 2, 20 + 0.8 * 4, -300 + 8])
    assert report.not_cropped == ['flipped', 'sagittal', 'turned']  # all air: no lungs to be found


def test_lungs_are_found_by_threshold_where_there_is_no_mask(luna16_dir, tmp_path):
    image = sitk.Image([80, 60, 40], sitk.sitkInt16) - 1000
    image.SetSpacing((4.0, 4.0, 5.0))
    body = sitk.GetArrayFromImage(image)
    body[:, 8:52, 6:74] = 40
    body[4:36, 14:46, 12:34] = -850
    body[6:34, 14:44, 44:66] = -870
    scan = sitk.GetImageFromArray(body)
    scan.CopyInformation(image)
    sitk.WriteImage(scan, str(luna16_dir / 'subset0/straight.mhd'))
    convert_luna16(luna16_dir, tmp_path / 'out', ConvertSettings(crop='lungs', margin=0))
    scans, volumes = load(tmp_path / 'out')
    assert volumes['straight'].shape == (32, 32, 54)
    np.testing.assert_array_equal(volumes['straight'], body[4:36, 14:46, 12:66])
    assert scans['straight']['geometry']['origin'] == [48.0, 56.0, 20.0]


def test_record_says_what_the_volume_was_made_from(luna16_dir, tmp_path):
    convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    record = json.loads((tmp_path / 'out/volumes/straight.json').read_text())
    assert set(record['made_from']['files']['image']) == {
        'subset0/straight.mhd',
        'subset0/straight.raw',
    }
    assert str(tmp_path) not in json.dumps(record)  # the cache can be moved


@pytest.mark.parametrize(
    'wrong',
    [
        dict(spacing=(1.0, 1.0)),
        dict(spacing=(1.0, 0.0, 1.0)),
        dict(crop='body'),
        dict(margin=-1),
        dict(instances='all'),
        dict(outside=-2000),
        dict(dilation=-1),
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong)))):
        ConvertSettings(**wrong)
