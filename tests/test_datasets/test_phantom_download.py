"""Phantoms as LUNA16 and NLST are downloaded: what is irregular in them is found again."""

import csv
import zipfile
from collections import Counter

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from mmdet3d_medical.datasets.converters import (
    ConvertSettings,
    SeriesRules,
    convert_dicom,
    convert_luna16,
)
from mmdet3d_medical.datasets.index import read_index
from mmdet3d_medical.datasets.phantom import make_scan, phantom_settings
from mmdet3d_medical.datasets.phantom.dicom import make_dicom_studies
from mmdet3d_medical.datasets.phantom.download import make_luna16_download

SMALL = phantom_settings(shape=(40, 40, 40), spacing=(2.4, 2.4, 2.4))
NATIVE = ConvertSettings(crop='lungs')


def test_the_converter_reports_what_was_made(tmp_path):
    expected = make_luna16_download(tmp_path / 'LUNA16', SMALL, scans=12, seed=4)
    archives = sorted((tmp_path / 'LUNA16').glob('*.zip'))
    assert [path.stem for path in archives] == [
        'evaluationScript',
        'seg-lungs-LUNA16',
        *(f'subset{k}' for k in range(9)),
    ]
    for path in archives:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(tmp_path / 'LUNA16')
    report = convert_luna16(tmp_path / 'LUNA16', tmp_path / 'out', NATIVE)
    lists = {**report.notes, 'listed scans have no file': report.missing}
    found = {
        title.split(' and count')[0]: {name.split(':')[0] for name in names}
        for title, names in lists.items()
        if names
    }
    outside = 'nodules lie outside the lungs of the lung mask and are kept'
    assert found[outside] >= set(expected[outside])  # phantoms have some at the edge themselves
    assert {**found, outside: ()} == {
        **{title: set(names) for title, names in expected.items()},
        outside: (),
    }
    assert report.scans == 10 and not report.failures
    assert list((tmp_path / 'LUNA16/subset8').iterdir()) == []
    images = sorted((tmp_path / 'LUNA16').glob('subset*/*.mhd'))
    directions = [sitk.ReadImage(str(path)).GetDirection() for path in images]
    assert any(np.abs(np.subtract(d, np.eye(3).ravel())).max() > 0.5 for d in directions)
    suffixes = Counter(path.suffix for path in (tmp_path / 'LUNA16').glob('subset*/*'))
    assert suffixes['.raw'] + suffixes['.zraw'] == suffixes['.mhd'] == 11
    assert suffixes['.zraw'] >= 3


def test_studies_are_converted_to_the_same_voxels(tmp_path):
    expected = make_dicom_studies(tmp_path / 'NLST', SMALL, studies=3, seed=5)
    convert_dicom(
        tmp_path / 'NLST',
        tmp_path / 'out',
        ConvertSettings(),
        SeriesRules(max_thickness=4, min_slices=20),
    )
    with (tmp_path / 'out/report.csv').open(newline='') as file:
        rows = [row for row in csv.DictReader(file) if row['seriesuid']]
    assert Counter(row['result'] for row in rows) == expected['results']
    assert {row['reason'] for row in rows} >= set(expected['reasons'])
    volumes = {
        scan['scan_id']: tmp_path / 'out' / scan['volume']
        for scan in read_index(tmp_path / 'out/index.json')['scans']
    }
    for number in range(2):  # the third study is broken
        scan = make_scan(SMALL, 5, number)
        volume = np.load(volumes[f'{scan.uid}.1'])  # turned, perhaps
        np.testing.assert_array_equal(np.sort(volume, axis=None), np.sort(scan.volume, axis=None))


def test_too_few(tmp_path):
    with pytest.raises(ValueError, match='at least 11 scans, found 10'):
        make_luna16_download(tmp_path, SMALL, scans=10)
    with pytest.raises(ValueError, match='at least 2 studies, found 1'):
        make_dicom_studies(tmp_path, SMALL, studies=1)
