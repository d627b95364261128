"""DICOM folders: which series the rules leave out, and which one of a study they choose."""

import shutil

import numpy as np
import pytest

from mmdet3d_medical.datasets.converters import SeriesRules
from mmdet3d_medical.datasets.index import read_index

from .dicom_series import (
    ORIGIN,
    convert,
    make_slice,
    make_voxels,
    only_row,
    positions,
    rows_of,
    write_series,
    write_study,
)

SHEARED = positions() + np.outer(np.arange(6), [0, 0.5, 0])
BROKEN = {
    'modality': (dict(Modality='PT'), 'not CT'),
    'secondary capture': (dict(SOPClassUID='1.2.840.10008.5.1.4.1.1.7'), 'not CT'),
    'enhanced': (dict(NumberOfFrames=6), 'several slices a file'),
    'localizer': (dict(ImageType=['ORIGINAL', 'PRIMARY', 'LOCALIZER']), 'localizer'),
    'coronal': (dict(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), 'not axial'),
    'no orientation': (dict(ImageOrientationPatient=None), 'no geometry'),
    'no position': (dict(ImagePositionPatient=None), 'no geometry'),
    'no spacing': (dict(PixelSpacing=None), 'no geometry'),
    'skewed axes': (dict(ImageOrientationPatient=[1, 0, 0, 0.6, 0.8, 0]), 'no geometry'),
    'no slope': (dict(RescaleSlope=None), 'not HU'),
    'iodine map': (dict(RescaleType='EDW'), 'not HU'),
    'thick': (dict(SliceThickness=3), 'thick slices'),
    'tilt in the header': (dict(GantryDetectorTilt=-12.5), 'gantry tilt'),
    'tilt in the positions': (dict(places=SHEARED), 'gantry tilt'),
    'gap': (dict(places=positions(count=8)[[0, 1, 2, 3, 5, 7]]), 'missing slices'),
    'gap at the end': (dict(places=positions(count=7)[[0, 1, 2, 3, 4, 6]]), 'missing slices'),
    'two at one place': (dict(places=positions()[[0, 1, 2, 2, 3, 4]]), 'duplicate slices'),
    'far apart': (dict(places=positions(step=2.75), SliceThickness=2.5), 'thick slices'),
    'uneven': (
        dict(places=np.array(ORIGIN) + np.outer([0, 1, 2, 3, 4.5, 6], [0, 0, 1])),
        'uneven slices',
    ),
}


@pytest.mark.parametrize('changes, reason', BROKEN.values(), ids=BROKEN)
def test_series_that_a_rule_leaves_out(tmp_path, changes, reason):
    write_series(tmp_path / 'in', make_voxels(), **changes)
    row = only_row(tmp_path)
    assert (row['seriesuid'], row['result'], row['reason']) == ('1.2.3', 'left out', reason)
    assert row['files'] == '6'


@pytest.mark.parametrize(
    'places, detail', [([0, 1, 2, 3, 5, 7], '2 missing'), ([0, 1, 2, 3, 4, 8], '3 missing')]
)
def test_missing_slices_are_counted(tmp_path, places, detail):
    write_series(tmp_path / 'in', make_voxels(), places=positions(count=9)[places])
    assert only_row(tmp_path)['detail'] == detail


@pytest.mark.parametrize(
    'name, one, two',
    [
        ('orientation', [1, 0, 0, 0, 1, 0], [-1, 0, 0, 0, -1, 0]),
        ('spacing', [0.5, 0.75], [0.5, 0.8]),
        ('kernel', 'B30f', 'B50f'),
        ('shape', 10, 9),
    ],
)
def test_series_of_different_images(tmp_path, name, one, two):
    tag = dict(
        orientation='ImageOrientationPatient',
        spacing='PixelSpacing',
        kernel='ConvolutionKernel',
        shape='Rows',
    )[name]
    write_series(tmp_path / 'in/a', make_voxels()[:3], places=positions()[:3], **{tag: one})
    pixels = make_voxels()[3:, :9] if name == 'shape' else make_voxels()[3:]
    write_series(tmp_path / 'in/b', pixels, places=positions()[3:], **{tag: two})
    assert only_row(tmp_path)['reason'] == f'mixed {name}'


def test_few_slices_and_kernels(tmp_path):
    write_series(tmp_path / 'in', make_voxels())
    assert only_row(tmp_path, SeriesRules(min_slices=7))['reason'] == 'few slices'
    row = only_row(tmp_path, SeriesRules(min_slices=4, kernels=('STANDARD', 'b5*')))
    assert (row['reason'], row['detail']) == ('kernel', 'B30f')


def test_localisers_and_copies_in_a_series_are_skipped(tmp_path):
    paths = write_series(tmp_path / 'in/a', make_voxels())
    shutil.copy(paths[2], tmp_path / 'in/copy')
    scout = make_slice(
        np.zeros((20, 30), np.int16),
        (0, 0, 0),
        90,
        ImageType=['ORIGINAL', 'PRIMARY', 'LOCALIZER'],
        ImageOrientationPatient=[1, 0, 0, 0, 0, -1],
    )
    scout.save_as(tmp_path / 'in/scout', enforce_file_format=True)
    convert(tmp_path / 'in', tmp_path / 'out')
    np.testing.assert_array_equal(np.load(tmp_path / 'out/volumes/1.2.3.npy'), make_voxels())
    row = rows_of(tmp_path / 'out')['1.2.3']
    assert row['result'] == 'converted' and row['detail'].startswith('2 localizer images or copies')


@pytest.mark.parametrize(
    'rules, best',
    [
        (dict(), '1.1'),  # as thin and as long as 1.3: the smaller id
        (dict(kernels=('b3*', '*')), '1.3'),
        (dict(kernels=('b3*', '*'), prefer=('slices', 'kernel', 'thickness')), '1.3'),
        (dict(prefer=('slices',)), '1.1'),
        (dict(kernels=('B30?',), prefer=('kernel',)), '1.2'),
        (dict(max_thickness=1.2), None),
    ],
)
def test_one_series_of_a_study_is_chosen(tmp_path, rules, best):
    write_study(tmp_path / 'in')
    rules = SeriesRules(min_slices=4, **rules)
    if best is None:
        with pytest.raises(ValueError, match='thick slices: 4 series, 23 files'):
            convert(tmp_path / 'in', tmp_path / 'out', rules)
        return
    convert(tmp_path / 'in', tmp_path / 'out', rules)
    rows = rows_of(tmp_path / 'out')
    assert [key for key, row in rows.items() if row['result'] == 'converted'] == [best]
    others = {row['reason'] for key, row in rows.items() if key != best}
    assert others <= {'another series of the study', 'kernel'}
    assert {row['detail'] for row in rows.values() if row['reason'].startswith('another')} == {best}
    assert [scan['scan_id'] for scan in read_index(tmp_path / 'out/index.json')['scans']] == [best]


def test_all_series_and_other_studies(tmp_path):
    write_study(tmp_path / 'in')
    write_series(tmp_path / 'in/other', make_voxels(), '2.1', StudyInstanceUID='2')
    assert convert(tmp_path / 'in', tmp_path / 'one').scans == 2
    rules = SeriesRules(min_slices=4, all_series=True)
    assert convert(tmp_path / 'in', tmp_path / 'all', rules).scans == 5
