"""DICOM folders: annotations, damaged files, the report, later runs, and what must not come out."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless

from mmdet3d_medical.datasets.converters import SeriesRules
from mmdet3d_medical.datasets.converters.dicom.convert import LISTED
from mmdet3d_medical.datasets.index import read_index

from .dicom_series import (
    PATIENT,
    SHAPE,
    convert,
    make_voxels,
    positions,
    rows_of,
    write_series,
    write_study,
    write_twin,
)

TOOL = Path(__file__).parents[2] / 'tools/dataset_converters/dicom.py'


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


CSV = 'seriesuid,coordX,coordY,coordZ,diameter_mm\n'


@pytest.mark.tried(
    'DICOM', 'annotations of a series that a rule leaves out', 'the report names series and rule'
)
@pytest.mark.parametrize('kind', ['table', 'masks'])
def test_listed_series_that_a_rule_leaves_out_are_named_with_the_rule(tmp_path, kind):
    voxels = make_voxels()
    for series, count in (('1.1', 6), ('2.2', 3)):  # of these, 2.2 has few slices
        write_series(tmp_path / 'in', voxels[:count], series, StudyInstanceUID=series)
    annotations, absent = tmp_path / 'a.csv', '3.3'
    if kind == 'table':
        lines = [f'{series},1,2,3,5\n' for series in ('1.1', '2.2', absent)]
        annotations.write_text(CSV + ''.join(lines))
    else:
        annotations, absent = tmp_path / 'masks', '3.3_label'
        annotations.mkdir()
        for name in ('1.1_label', '2.2_label', absent):
            write_twin(annotations / f'{name}.mhd', (voxels > 1450).astype(np.uint8))
    report = convert(tmp_path / 'in', tmp_path / 'out', annotations=[annotations])
    assert report.scans == 1 and report.missing == [absent]
    assert report.notes == {LISTED: ['2.2: few slices: 3']}


def test_table_of_nothing_but_a_series_that_a_rule_leaves_out(tmp_path):
    for series, count in (('1.1', 6), ('2.2', 3)):
        write_series(tmp_path / 'in', make_voxels()[:count], series, StudyInstanceUID=series)
    (tmp_path / 'a.csv').write_text(f'{CSV}2.2,1,2,3,5\n')
    with pytest.raises(ValueError, match=r'a\.csv: none of .*: 2\.2 is there, .*: few slices: 3$'):
        convert(tmp_path / 'in', tmp_path / 'out', annotations=[tmp_path / 'a.csv'])


def test_of_two_listed_series_of_a_study_the_other_one_is_named(tmp_path):
    for series, step in (('1.1', 1), ('1.2', 2)):
        places = positions(step=step)
        write_series(tmp_path / 'in', make_voxels(), series, places, SliceThickness=step)
    (tmp_path / 'a.csv').write_text(f'{CSV}1.1,1,2,3,5\n1.2,1,2,3,5\n')
    report = convert(tmp_path / 'in', tmp_path / 'out', annotations=[tmp_path / 'a.csv'])
    assert report.scans == 1
    assert report.notes == {LISTED: ['1.2: another series of the study: 1.1']}


def test_links_to_folders_are_counted_without_their_names(tmp_path):
    write_series(tmp_path / 'in', make_voxels())
    (tmp_path / PATIENT).mkdir()
    (tmp_path / 'in' / PATIENT).symlink_to(f'../{PATIENT}')
    report = convert(tmp_path / 'in', tmp_path / 'out')
    row = rows_of(tmp_path / 'out')['']
    assert (row['reason'], row['detail'], row['files']) == ('links to folders', 'not followed', '1')
    assert PATIENT not in str(report)


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
        counts = {
            row['reason']: int(row['files']) for row in csv.DictReader(file) if not row['seriesuid']
        }
    assert counts.pop('not DICOM') == 2 and sum(counts.values()) == 3
    names = {Path(line).name for line in (tmp_path / 'bad.txt').read_text().splitlines()}
    assert names == {'header only.dcm', 'garbage.dcm', 'odd.dcm'}


def test_annotations_by_series_id(tmp_path):
    write_study(tmp_path / 'in')
    (tmp_path / 'a.csv').write_text(
        'seriesuid,coordX,coordY,coordZ,diameter_mm\n1.4,-11,42,-305,3\nabsent,0,0,0,3\n'
    )
    report = convert(tmp_path / 'in', tmp_path / 'out', annotations=[tmp_path / 'a.csv'])
    (scan,) = read_index(tmp_path / 'out/index.json')['scans']
    assert scan['scan_id'] == '1.4' and scan['annotated']  # goes before the thinner ones
    assert report.lesions == 1 and report.missing == ['absent']


def test_masks_by_series_id(tmp_path):
    write_study(tmp_path / 'in')
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:4, 3:5, 1:4] = 1
    (tmp_path / 'masks').mkdir()
    write_twin(tmp_path / 'masks/1.4_label.mhd', mask)
    convert(tmp_path / 'in', tmp_path / 'out', annotations=[tmp_path / 'masks'])
    (scan,) = read_index(tmp_path / 'out/index.json')['scans']
    assert scan['scan_id'] == '1.4' and scan['instances'][0]['size'] == [5, 1, 2.25]


def test_a_mask_whose_data_file_changed_is_read_again(tmp_path):
    write_study(tmp_path / 'in')
    (tmp_path / 'masks').mkdir()
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:4, 3:5, 1:4] = 1
    write_twin(tmp_path / 'masks/1.4_label.mhd', mask)
    for found in (1, 0):
        report = convert(tmp_path / 'in', tmp_path / 'out', annotations=[tmp_path / 'masks'])
        assert report.lesions == found
        (tmp_path / 'masks/1.4_label.raw').write_bytes(bytes(mask.size))


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
    (tmp_path / 'key').write_text('a key that is always the same')
    contents = []
    for workers in (1, 2):
        out = tmp_path / f'out{workers}'
        convert(tmp_path / 'in', out, workers=workers, patient_key=tmp_path / 'key')
        contents.append({p.name: p.read_bytes() for p in out.rglob('*') if p.is_file()})
    assert contents[0] == contents[1] and len(contents[0]) == 7


def test_nothing_about_patients_comes_out(tmp_path):
    """Names in headers, folders and files, and in tags that make readers warn."""
    root = tmp_path / 'in' / PATIENT
    write_series(
        root, make_voxels(), '1.1', StudyID=PATIENT, PatientAge=PATIENT * 3, StudyDate='15470929'
    )
    write_series(root, make_voxels(), '1.2', Modality='PT')
    paths = write_series(root, make_voxels(), '1.3', StudyInstanceUID='9')
    paths[1].write_bytes(paths[1].read_bytes()[:-60])
    bad = paths[0].rename(root / f'{PATIENT}.dcm').with_name('bad.dcm')
    bad.write_bytes(b'\0' * 128 + b'DICM' + PATIENT.encode() * 9)
    odd = pydicom.dcmread(paths[2])
    odd.SeriesInstanceUID = PATIENT
    odd.save_as(root / 'odd.dcm')
    call = [sys.executable, TOOL, tmp_path / 'in', '--out', tmp_path / 'out', '--min-slices', '4']
    done = subprocess.run(
        [*map(str, call), '--workers', '1'], capture_output=True, encoding='utf-8'
    )
    assert done.returncode == 1 and '1 scans' in done.stdout, done.stderr
    written = [path for path in (tmp_path / 'out').rglob('*') if path.is_file()]
    assert {path.name for path in written} == {
        'conversion.csv',
        'index.json',
        'patient_key',
        'report.csv',
        '1.1.json',
        '1.1.npy',
    }
    texts = [
        done.stdout,
        done.stderr,
        *map(str, (path.relative_to(tmp_path) for path in written)),
        *(path.read_bytes().decode('latin-1') for path in written),
    ]
    for word in ('QUIXOTE', 'ALONSO', '15470929'):
        assert not any(word in text for text in texts)


def test_wrong_folders_and_rules_are_refused(tmp_path):
    with pytest.raises(ValueError, match='nowhere: no such folder'):
        convert(tmp_path / 'nowhere', tmp_path / 'out')
    (tmp_path / 'in').mkdir()
    with pytest.raises(ValueError, match='no series can be used: the folder is empty'):
        convert(tmp_path / 'in', tmp_path / 'out')
    for wrong in (
        dict(max_thickness=0),
        dict(min_slices=1),
        dict(max_angle=45),
        dict(prefer=('age',)),
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            SeriesRules(**wrong)
