"""DICOM folders: the voxels of a series, the rules, the report, and what must not come out."""
import csv
import locale
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless

from mmdet3d_medical.datasets.converters import (
    ConvertSettings,
    SeriesRules,
    convert_dicom,
    convert_volumes,
)
from mmdet3d_medical.datasets.index import read_index

TOOL = Path(__file__).parents[2] / 'tools/dataset_converters/dicom.py'
RULES = SeriesRules(min_slices=4)
SETTINGS = ConvertSettings()
SHAPE = (6, 10, 8)
ORIGIN = (-12.5, 40.25, -310.0)
SPACING = (0.75, 0.5, 2.5)  # x, y, z: rows of pixels are 0.5 mm apart
PATIENT = 'QUIXOTE^ALONSO'
# Direction cosines: a row's, then a column's.
ORIENTATIONS = {
    'supine, head first': (1, 0, 0, 0, 1, 0),
    'prone': (-1, 0, 0, 0, -1, 0),
    'feet first': (-1, 0, 0, 0, 1, 0),
    'turned': (0.96, 0.28, 0, -0.28, 0.96, 0),
    'tilted to the front': (1, 0, 0, 0, 0.96, 0.28),
}


def make_voxels(seed=0):
    return np.random.default_rng(seed).integers(-1000, 1500, SHAPE).astype(np.int16)


def make_slice(pixels, position, number, series='1.2.3', study='1.2', **tags):
    """One CT image with a patient's name in it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = f'{series}.{number + 1}'
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = Dataset()
    dataset.file_meta = meta
    fields = dict(
        PatientName=PATIENT, PatientID=PATIENT, PatientBirthDate='15470929',
        SOPClassUID=CTImageStorage, SOPInstanceUID=f'{series}.{number + 1}',
        SeriesInstanceUID=series, StudyInstanceUID=study, Modality='CT', InstanceNumber=number,
        SeriesDescription=PATIENT, ImageType=['ORIGINAL', 'PRIMARY', 'AXIAL'],
        ImagePositionPatient=[round(float(p), 6) for p in position],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        PixelSpacing=[SPACING[1], SPACING[0]], SliceThickness=SPACING[2],
        ConvolutionKernel='B30f', RescaleSlope=1, RescaleIntercept=-1024, Rows=pixels.shape[0],
        Columns=pixels.shape[1], SamplesPerPixel=1, PhotometricInterpretation='MONOCHROME2',
        BitsAllocated=16, BitsStored=16, HighBit=15, PixelRepresentation=0)
    for name, value in {**fields, **tags}.items():
        if value is not None:
            setattr(dataset, name, value)
    stored = (pixels.astype(float) - float(dataset.get('RescaleIntercept', 0))) / float(
        dataset.get('RescaleSlope', 1) or 1)
    kind = np.int16 if dataset.PixelRepresentation else np.uint16
    dataset.PixelData = np.rint(stored).astype(kind).tobytes()
    return dataset


def positions(orientation=(1, 0, 0, 0, 1, 0), count=SHAPE[0], step=SPACING[2]):
    normal = np.cross(orientation[:3], orientation[3:])
    return np.array(ORIGIN) + np.outer(np.arange(count) * step, normal)


def write_series(folder, voxels, series='1.2.3', places=None, **tags):
    """A slice in each file, in an order that is not that of the slices; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    orientation = tags.get('ImageOrientationPatient') or (1, 0, 0, 0, 1, 0)
    places = positions(orientation, len(voxels)) if places is None else places
    paths = []
    for number, (pixels, place) in enumerate(zip(voxels, places, strict=True)):
        paths.append(folder / f'{(number * 7) % 11:02d}-{series}.dcm')
        make_slice(pixels, place, number, series, **tags).save_as(paths[-1],
                                                                 enforce_file_format=True)
    return paths


def write_twin(path, voxels, orientation=(1, 0, 0, 0, 1, 0)):
    """The same scan as ``.mhd``."""
    row, column = np.reshape(orientation, (2, 3)).astype(float)
    image = sitk.GetImageFromArray(voxels)
    image.SetOrigin(ORIGIN)
    image.SetSpacing(SPACING)
    image.SetDirection(np.stack([row, column, np.cross(row, column)], 1).ravel().tolist())
    sitk.WriteImage(image, str(path))


def convert(root, out, rules=RULES, **options):
    return convert_dicom(root, out, SETTINGS, rules, **options)


def rows_of(out):
    with (out / 'report.csv').open(newline='') as file:
        return {row['seriesuid']: row for row in csv.DictReader(file)}


def only_row(tmp_path, rules=RULES, **options):
    """The report's only line, of a folder without a series that can be used."""
    with pytest.raises(ValueError, match='no series can be used'):
        convert(tmp_path / 'in', tmp_path / 'out', rules, **options)
    row, = rows_of(tmp_path / 'out').values()
    return row


def assert_same_conversion(one, two, scan_id):
    """Check that two caches hold the same scan; the geometry may differ in the last digits."""
    scans = [{s['scan_id']: s for s in read_index(out / 'index.json')['scans']}[scan_id]
             for out in (one, two)]
    for key in ('origin', 'spacing', 'direction', 'shape'):
        np.testing.assert_allclose(*[scan['geometry'][key] for scan in scans], atol=1e-5)
    np.testing.assert_array_equal(*[np.load(out / f'volumes/{scan_id}.npy') for out in (one, two)])


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
        tags = {'0008|0060': 'CT', '0020|000e': '1.2.3', '0020|000d': '1.2',
                '0008|0018': f'1.2.3.{number + 1}', '0028|1052': '0', '0028|1053': '1',
                '0020|0037': '1\\0\\0\\0\\1\\0', '0020|0032': '\\'.join(map(str, place))}
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


@pytest.mark.parametrize('tags, expected', [
    (dict(RescaleSlope=1, RescaleIntercept=0, PixelRepresentation=1), lambda hu: hu),
    (dict(RescaleSlope=2, RescaleIntercept=-1024), lambda hu: np.rint((hu + 1024) / 2) * 2 - 1024),
    (dict(RescaleSlope=0.5, RescaleIntercept=-1024.25),
     lambda hu: np.rint(np.rint((hu + 1024.25) * 2) / 2 - 1024.25))])
def test_slope_and_intercept(tmp_path, tags, expected):
    write_series(tmp_path / 'in', make_voxels(), **tags)
    convert(tmp_path / 'in', tmp_path / 'out')
    np.testing.assert_array_equal(np.load(tmp_path / 'out/volumes/1.2.3.npy'),
                                  expected(make_voxels().astype(float)))


def test_slope_of_each_slice_is_its_own(tmp_path):
    voxels = make_voxels()
    for half, intercept in ((slice(0, 3), -1024), (slice(3, 6), -2000)):
        write_series(tmp_path / f'in/{intercept}', voxels[half], places=positions()[half],
                     RescaleIntercept=intercept, SOPInstanceUID=None)
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


SHEARED = positions() + np.outer(np.arange(6), [0, 0.5, 0])
BROKEN = {
    'modality': (dict(Modality='PT'), 'not CT'),
    'secondary capture': (dict(SOPClassUID='1.2.840.10008.5.1.4.1.1.7'), 'not CT'),
    'enhanced': (dict(NumberOfFrames=6), 'several slices a file'),
    'localiser': (dict(ImageType=['ORIGINAL', 'PRIMARY', 'LOCALIZER']), 'localiser'),
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
    'uneven': (dict(places=np.array(ORIGIN) + np.outer([0, 1, 2, 3, 4.5, 6], [0, 0, 1])),
               'uneven slices'),
}


@pytest.mark.parametrize('changes, reason', BROKEN.values(), ids=BROKEN)
def test_series_that_a_rule_leaves_out(tmp_path, changes, reason):
    write_series(tmp_path / 'in', make_voxels(), **changes)
    row = only_row(tmp_path)
    assert (row['seriesuid'], row['result'], row['reason']) == ('1.2.3', 'left out', reason)
    assert row['files'] == '6'


@pytest.mark.parametrize('places, detail', [([0, 1, 2, 3, 5, 7], '2 missing'),
                                            ([0, 1, 2, 3, 4, 8], '3 missing')])
def test_missing_slices_are_counted(tmp_path, places, detail):
    write_series(tmp_path / 'in', make_voxels(), places=positions(count=9)[places])
    assert only_row(tmp_path)['detail'] == detail


@pytest.mark.parametrize('name, one, two', [
    ('orientation', [1, 0, 0, 0, 1, 0], [-1, 0, 0, 0, -1, 0]), ('spacing', [0.5, 0.75], [0.5, 0.8]),
    ('kernel', 'B30f', 'B50f'), ('shape', 10, 9)])
def test_series_of_different_images(tmp_path, name, one, two):
    tag = dict(orientation='ImageOrientationPatient', spacing='PixelSpacing',
               kernel='ConvolutionKernel', shape='Rows')[name]
    write_series(tmp_path / 'in/a', make_voxels()[:3], places=positions()[:3], **{tag: one})
    pixels = make_voxels()[3:, :9] if name == 'shape' else make_voxels()[3:]
    write_series(tmp_path / 'in/b', pixels, places=positions()[3:], **{tag: two})
    assert only_row(tmp_path)['reason'] == f'mixed {name}'


def test_positions_that_are_rounded_are_even(tmp_path):
    places = np.round(positions(step=1.25), 1)
    write_series(tmp_path / 'in', make_voxels(), places=places)
    assert convert(tmp_path / 'in', tmp_path / 'out').scans == 1
    geometry = read_index(tmp_path / 'out/index.json')['scans'][0]['geometry']
    assert geometry['spacing'][2] == pytest.approx((places[-1, 2] - places[0, 2]) / 5)


def test_few_slices_and_kernels(tmp_path):
    write_series(tmp_path / 'in', make_voxels())
    assert only_row(tmp_path, SeriesRules(min_slices=7))['reason'] == 'few slices'
    row = only_row(tmp_path, SeriesRules(min_slices=4, kernels=('STANDARD', 'b5*')))
    assert (row['reason'], row['detail']) == ('kernel', 'B30f')


def test_localisers_and_copies_in_a_series_are_skipped(tmp_path):
    paths = write_series(tmp_path / 'in/a', make_voxels())
    shutil.copy(paths[2], tmp_path / 'in/copy')
    scout = make_slice(np.zeros((20, 30), np.int16), (0, 0, 0), 90,
                       ImageType=['ORIGINAL', 'PRIMARY', 'LOCALIZER'],
                       ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    scout.save_as(tmp_path / 'in/scout', enforce_file_format=True)
    convert(tmp_path / 'in', tmp_path / 'out')
    np.testing.assert_array_equal(np.load(tmp_path / 'out/volumes/1.2.3.npy'), make_voxels())
    row = rows_of(tmp_path / 'out')['1.2.3']
    assert row['result'] == 'converted' and row['detail'].startswith('2 localiser images or copies')


def write_study(root):
    """Four series of a study: thin and sharp, thin and soft, the same but longer, thick."""
    voxels = make_voxels()
    write_series(root / 'x', voxels, '1.1', positions(step=1), SliceThickness=1.25,
                 ConvolutionKernel='B70f')
    write_series(root / 'x', voxels[:5], '1.2', positions(step=1)[:5], SliceThickness=1.25,
                 ConvolutionKernel='B30f')
    write_series(root / 'y/z', voxels, '1.3', positions(step=1), SliceThickness=1.25,
                 ConvolutionKernel='B30f')
    write_series(root, voxels, '1.4', SliceThickness=2, ConvolutionKernel='B30f')


@pytest.mark.parametrize('rules, best', [
    (dict(), '1.1'),  # as thin and as long as 1.3: the smaller id
    (dict(kernels=('b3*', '*')), '1.3'),
    (dict(kernels=('b3*', '*'), prefer=('slices', 'kernel', 'thickness')), '1.3'),
    (dict(prefer=('slices', )), '1.1'),
    (dict(kernels=('B30?', ), prefer=('kernel', )), '1.2'),
    (dict(max_thickness=1.2), None)])
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


@pytest.mark.parametrize('damage', ['cut off', 'another syntax', 'no pixels'])
def test_next_series_is_taken_where_the_best_cannot_be_decoded(tmp_path, damage):
    write_study(tmp_path / 'in')
    path = sorted((tmp_path / 'in/x').glob('*-1.1.dcm'))[3]
    if damage == 'cut off':
        path.write_bytes(path.read_bytes()[:-60])
    else:
        dataset = pydicom.dcmread(path)
        if damage == 'another syntax':
            dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
            dataset.PixelData = pydicom.encaps.encapsulate([b'not a code stream at all'])
        else:
            del dataset.PixelData
        dataset.save_as(path, enforce_file_format=True)
    report = convert(tmp_path / 'in', tmp_path / 'out')
    assert report.scans == 1 and set(report.failures) == {'1.1'}
    assert report.failures['1.1'].startswith('series 1.1: slice ')
    rows = rows_of(tmp_path / 'out')
    assert rows['1.1']['result'] == 'failed' and 'cannot be decoded' in rows['1.1']['detail']
    syntax = 'JPEG 2000' if damage == 'another syntax' else 'Explicit VR Little Endian'
    assert syntax in rows['1.1']['detail']
    assert rows['1.3']['result'] == 'converted'


def test_compressed_series(tmp_path):
    write_series(tmp_path / 'in', make_voxels())
    for path in (tmp_path / 'in').iterdir():
        dataset = pydicom.dcmread(path)
        dataset.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
        dataset.save_as(path, enforce_file_format=True)
    convert(tmp_path / 'in', tmp_path / 'out')
    np.testing.assert_array_equal(np.load(tmp_path / 'out/volumes/1.2.3.npy'), make_voxels())


def test_files_that_are_no_images_are_counted(tmp_path):
    paths = write_series(tmp_path / 'in', make_voxels())
    (tmp_path / 'in/notes.txt').write_text(PATIENT)
    (tmp_path / 'in/empty.dcm').write_bytes(b'')
    (tmp_path / 'in/header only.dcm').write_bytes(b'\0' * 128 + b'DICM')
    (tmp_path / 'in/garbage.dcm').write_bytes(b'\0' * 128 + b'DICM' + bytes(range(200)))
    dataset = pydicom.dcmread(paths[0])
    dataset.SeriesInstanceUID = '../../' + PATIENT
    dataset.save_as(tmp_path / 'in/odd.dcm')
    report = convert(tmp_path / 'in', tmp_path / 'out', list_unreadable=tmp_path / 'bad.txt')
    assert report.scans == 1
    with (tmp_path / 'out/report.csv').open() as file:
        counts = {row['reason']: int(row['files']) for row in csv.DictReader(file)
                  if not row['seriesuid']}
    assert counts.pop('not DICOM') == 2 and sum(counts.values()) == 3
    names = {Path(line).name for line in (tmp_path / 'bad.txt').read_text().splitlines()}
    assert names == {'header only.dcm', 'garbage.dcm', 'odd.dcm'}


def test_annotations_by_series_id(tmp_path):
    write_study(tmp_path / 'in')
    (tmp_path / 'a.csv').write_text('seriesuid,coordX,coordY,coordZ,diameter_mm\n'
                                    '1.4,-11,42,-305,3\nabsent,0,0,0,3\n')
    report = convert(tmp_path / 'in', tmp_path / 'out', annotations=[tmp_path / 'a.csv'])
    scan, = read_index(tmp_path / 'out/index.json')['scans']
    assert scan['scan_id'] == '1.4' and scan['annotated']  # goes before the thinner ones
    assert report.lesions == 1 and report.missing == ['absent']


def test_masks_by_series_id(tmp_path):
    write_study(tmp_path / 'in')
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:4, 3:5, 1:4] = 1
    (tmp_path / 'masks').mkdir()
    write_twin(tmp_path / 'masks/1.4_label.mhd', mask)
    convert(tmp_path / 'in', tmp_path / 'out', annotations=[tmp_path / 'masks'])
    scan, = read_index(tmp_path / 'out/index.json')['scans']
    assert scan['scan_id'] == '1.4' and scan['instances'][0]['size'] == [5, 1, 2.25]


def test_second_run_goes_on_and_notices_changes(tmp_path):
    paths = write_series(tmp_path / 'in/a', make_voxels(), '1.1')
    write_series(tmp_path / 'in/b', make_voxels(1), '2.1', StudyInstanceUID='2')
    convert(tmp_path / 'in', tmp_path / 'out')
    volumes = [tmp_path / f'out/volumes/{key}.npy' for key in ('1.1', '2.1')]
    times = [path.stat().st_mtime_ns for path in volumes]
    shutil.move(tmp_path / 'in', tmp_path / 'moved')  # the cache knows no paths
    convert(tmp_path / 'moved', tmp_path / 'out')
    assert [path.stat().st_mtime_ns for path in volumes] == times
    os.utime(tmp_path / 'moved/a' / paths[0].name, ns=(1, 1))
    convert(tmp_path / 'moved', tmp_path / 'out')
    after = [path.stat().st_mtime_ns for path in volumes]
    assert after[0] > times[0] and after[1] == times[1]


def test_workers_give_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr('mmdet3d_medical.datasets.converters.dicom.headers.CHUNK', 5)
    write_study(tmp_path / 'in')
    write_series(tmp_path / 'in/other', make_voxels(1), '2.1', StudyInstanceUID='2')
    contents = []
    for workers in (1, 2):
        out = tmp_path / f'out{workers}'
        convert(tmp_path / 'in', out, workers=workers)
        contents.append({p.name: p.read_bytes() for p in out.rglob('*') if p.is_file()})
    assert contents[0] == contents[1] and len(contents[0]) == 6


def test_nothing_about_patients_comes_out(tmp_path):
    """Names in headers, folders and files, and in tags that make readers warn."""
    root = tmp_path / 'in' / PATIENT
    write_series(root, make_voxels(), '1.1', StudyID=PATIENT, PatientAge=PATIENT * 3,
                 StudyDate='15470929')
    write_series(root, make_voxels(), '1.2', Modality='PT')
    paths = write_series(root, make_voxels(), '1.3', StudyInstanceUID='9')
    paths[1].write_bytes(paths[1].read_bytes()[:-60])
    bad = paths[0].rename(root / f'{PATIENT}.dcm').with_name('bad.dcm')
    bad.write_bytes(b'\0' * 128 + b'DICM' + PATIENT.encode() * 9)
    odd = pydicom.dcmread(paths[2])
    odd.SeriesInstanceUID = PATIENT
    odd.save_as(root / 'odd.dcm')
    call = [sys.executable, TOOL, tmp_path / 'in', '--out', tmp_path / 'out', '--min-slices', '4']
    done = subprocess.run([*map(str, call), '--workers', '1'], capture_output=True,
                          encoding='utf-8')
    assert done.returncode == 1 and '1 scans' in done.stdout, done.stderr
    written = [path for path in (tmp_path / 'out').rglob('*') if path.is_file()]
    assert len(written) == 4
    texts = [done.stdout, done.stderr, *map(str, (path.relative_to(tmp_path) for path in written)),
             *(path.read_bytes().decode('latin-1') for path in written)]
    for word in ('QUIXOTE', 'ALONSO', '15470929'):
        assert not any(word in text for text in texts)


def test_wrong_folders_and_rules_are_refused(tmp_path):
    with pytest.raises(ValueError, match='nowhere: no such folder'):
        convert(tmp_path / 'nowhere', tmp_path / 'out')
    (tmp_path / 'in').mkdir()
    with pytest.raises(ValueError, match='no series can be used: the folder is empty'):
        convert(tmp_path / 'in', tmp_path / 'out')
    for wrong in (dict(max_thickness=0), dict(min_slices=1), dict(max_angle=45),
                  dict(prefer=('age', ))):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            SeriesRules(**wrong)
