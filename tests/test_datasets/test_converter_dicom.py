"""DICOM folders: the voxels of a series."""

import locale

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from mmdet3d_medical.datasets.converters import (
    ConvertSettings,
    SeriesRules,
    convert_dicom,
    convert_volumes,
)
from mmdet3d_medical.datasets.index import read_index

from .dicom_series import (
    SETTINGS,
    SPACING,
    assert_same_conversion,
    convert,
    make_voxels,
    positions,
    write_series,
    write_twin,
)

# Direction cosines: a row's, then a column's.
ORIENTATIONS = {
    'supine, head first': (1, 0, 0, 0, 1, 0),
    'prone': (-1, 0, 0, 0, -1, 0),
    'feet first': (-1, 0, 0, 0, 1, 0),
    'turned': (0.96, 0.28, 0, -0.28, 0.96, 0),
    'tilted to the front': (1, 0, 0, 0, 0.96, 0.28),
}


@pytest.mark.parametrize('settings', [SETTINGS, ConvertSettings(spacing=(1.0, 1.0, 1.0))])
@pytest.mark.parametrize('orientation', ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_same_voxels_as_the_twin(tmp_path, orientation, settings):
    write_series(tmp_path / 'in/a/b', make_voxels(), ImageOrientationPatient=list(orientation))
    write_twin(tmp_path / '1.2.3.mhd', make_voxels(), orientation)
    rules = SeriesRules(min_slices=4, max_angle=20)
    convert_dicom(tmp_path / 'in', tmp_path / 'out', settings, rules)
    convert_volumes([tmp_path / '1.2.3.mhd'], [], tmp_path / 'twin', settings)
    assert_same_conversion(tmp_path / 'out', tmp_path / 'twin', '1.2.3')


@pytest.fixture
def same_locale():
    """ITK leaves the process in the locale "C" when it writes DICOM: what runs next reads ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)


@pytest.mark.usefixtures('same_locale')
def test_series_written_by_simpleitk(tmp_path):
    voxels = make_voxels()
    (tmp_path / 'in').mkdir()
    for number, place in enumerate(positions()):
        image = sitk.GetImageFromArray(voxels[number])
        image.SetSpacing(SPACING[:2])
        tags = {
            '0008|0060': 'CT',
            '0020|000e': '1.2.3',
            '0020|000d': '1.2',
            '0008|0018': f'1.2.3.{number + 1}',
            '0028|1052': '0',
            '0028|1053': '1',
            '0020|0037': '1\\0\\0\\0\\1\\0',
            '0020|0032': '\\'.join(map(str, place)),
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(tmp_path / f'in/{number}.dcm'))
        writer.Execute(image)
    convert(tmp_path / 'in', tmp_path / 'out')
    write_twin(tmp_path / '1.2.3.mhd', voxels)
    convert_volumes([tmp_path / '1.2.3.mhd'], [], tmp_path / 'twin', SETTINGS)
    assert_same_conversion(tmp_path / 'out', tmp_path / 'twin', '1.2.3')


@pytest.mark.parametrize(
    'tags, expected',
    [
        (dict(RescaleSlope=1, RescaleIntercept=0, PixelRepresentation=1), lambda hu: hu),
        (
            dict(RescaleSlope=2, RescaleIntercept=-1024),
            lambda hu: np.rint((hu + 1024) / 2) * 2 - 1024,
        ),
        (
            dict(RescaleSlope=0.5, RescaleIntercept=-1024.25),
            lambda hu: np.rint(np.rint((hu + 1024.25) * 2) / 2 - 1024.25),
        ),
    ],
)
def test_slope_and_intercept(tmp_path, tags, expected):
    write_series(tmp_path / 'in', make_voxels(), **tags)
    convert(tmp_path / 'in', tmp_path / 'out')
    np.testing.assert_array_equal(
        np.load(tmp_path / 'out/volumes/1.2.3.npy'), expected(make_voxels().astype(float))
    )


def test_slope_of_each_slice_is_its_own(tmp_path):
    voxels = make_voxels()
    for half, intercept in ((slice(0, 3), -1024), (slice(3, 6), -2000)):
        write_series(
            tmp_path / f'in/{intercept}',
            voxels[half],
            places=positions()[half],
            RescaleIntercept=intercept,
            SOPInstanceUID=None,
        )
    convert(tmp_path / 'in', tmp_path / 'out')
    np.testing.assert_array_equal(np.load(tmp_path / 'out/volumes/1.2.3.npy'), voxels)


def test_padding_below_air_becomes_air(tmp_path):
    voxels = make_voxels()
    voxels[:, 0] = -2000
    write_series(tmp_path / 'in', voxels, RescaleIntercept=-2048)
    convert(tmp_path / 'in', tmp_path / 'out')
    volume = np.load(tmp_path / 'out/volumes/1.2.3.npy')
    assert (volume[:, 0] == -1024).all()
    np.testing.assert_array_equal(volume[:, 1:], voxels[:, 1:])


def test_positions_that_are_rounded_are_even(tmp_path):
    places = np.round(positions(step=1.25), 1)
    write_series(tmp_path / 'in', make_voxels(), places=places)
    assert convert(tmp_path / 'in', tmp_path / 'out').scans == 1
    geometry = read_index(tmp_path / 'out/index.json')['scans'][0]['geometry']
    assert geometry['spacing'][2] == pytest.approx((places[-1, 2] - places[0, 2]) / 5)


def test_directions_that_are_rounded_are_orthonormal(tmp_path):
    write_series(
        tmp_path / 'in', make_voxels(), ImageOrientationPatient=[0.999, 0.035, 0, -0.035, 0.999, 0]
    )
    assert convert(tmp_path / 'in', tmp_path / 'out').scans == 1
    geometry = read_index(tmp_path / 'out/index.json')['scans'][0]['geometry']
    axes = np.reshape(geometry['direction'], (3, 3))
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert axes[1, 0] == pytest.approx(0.035, abs=1e-3)


def test_compressed_series(tmp_path):
    write_series(tmp_path / 'in', make_voxels())
    for path in (tmp_path / 'in').iterdir():
        dataset = pydicom.dcmread(path)
        dataset.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
        dataset.save_as(path, enforce_file_format=True)
    convert(tmp_path / 'in', tmp_path / 'out')
    np.testing.assert_array_equal(np.load(tmp_path / 'out/volumes/1.2.3.npy'), make_voxels())
