"""DICOM folders: patients told apart without naming them, and free text that must not come out."""

import csv
import hashlib
import hmac
import logging
import stat

import pytest

from mmdet3d_medical.datasets.converters.dicom.patients import hash_patient, make_key, read_key
from mmdet3d_medical.datasets.converters.dicom.words import kernel_word, modality_word
from mmdet3d_medical.datasets.index import read_index

from .dicom_series import PATIENT, convert, make_voxels, only_row, positions, rows_of, write_series

KEY = 'a key of more than sixteen bytes'


def patients_in(out):
    scans = read_index(out / 'index.json')['scans']
    return {scan['scan_id']: scan.get('patient') for scan in scans}


def write_patients(root):
    """Five studies: three of a patient, one of them with the issuer, one of another, of nobody."""
    for number, tags in enumerate(
        [
            dict(PatientID='77'),
            dict(PatientID=' 77 '),
            dict(PatientID='78'),
            dict(PatientID=''),
            dict(PatientID='77', IssuerOfPatientID='elsewhere'),
        ]
    ):
        write_series(
            root / f'{number}',
            make_voxels()[:4],
            f'1.{number}',
            StudyInstanceUID=f'2.{number}',
            **tags,
        )


@pytest.mark.tried('DICOM', 'ids of patients', 'a keyed hash in the index, the id nowhere')
def test_series_of_a_patient_have_the_same_hash(tmp_path):
    write_patients(tmp_path / 'in')
    convert(tmp_path / 'in', tmp_path / 'out')
    found = patients_in(tmp_path / 'out')
    assert found['1.0'] == found['1.1'] == found['1.4'] != found['1.2']
    assert found['1.2'] is not None and found['1.3'] is None
    key = (tmp_path / 'out/patient_key').read_bytes().strip()
    digest = hmac.new(key, b'77', hashlib.sha256).hexdigest()
    assert found['1.0'] == digest[:16]


def test_key_is_made_once_and_for_its_user_only(tmp_path):
    write_patients(tmp_path / 'in')
    convert(tmp_path / 'in', tmp_path / 'out')
    path = tmp_path / 'out/patient_key'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes(), patients_in(tmp_path / 'out')
    convert(tmp_path / 'in', tmp_path / 'out')
    assert (path.read_bytes(), patients_in(tmp_path / 'out')) == before
    convert(tmp_path / 'in', tmp_path / 'other')
    assert patients_in(tmp_path / 'other')['1.0'] != before[1]['1.0']


def test_key_of_ones_own_gives_the_same_hashes(tmp_path):
    write_patients(tmp_path / 'in')
    (tmp_path / 'key').write_text(KEY + '\n')
    for out in (tmp_path / 'one', tmp_path / 'two'):
        convert(tmp_path / 'in', out, patient_key=tmp_path / 'key')
        assert not (out / 'patient_key').exists()
    assert patients_in(tmp_path / 'one') == patients_in(tmp_path / 'two')
    assert patients_in(tmp_path / 'one')['1.0'] == hash_patient('77', KEY.encode())


@pytest.mark.parametrize('content, message', [(None, 'no such file'), ('short\n', 'found 5')])
def test_keys_that_cannot_be_used(tmp_path, content, message):
    write_patients(tmp_path / 'in')
    path = tmp_path / 'key'
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=f'key: .*{message}'):
        convert(tmp_path / 'in', tmp_path / 'out', patient_key=path)
    with pytest.raises(ValueError, match=message):
        read_key(path)


def test_keys_are_random(tmp_path):
    keys = {make_key(tmp_path / str(number)) for number in range(3)}
    assert len(keys) == 3 and all(len(key) == 64 for key in keys)


@pytest.mark.tried('DICOM', 'images of two patients in one series', 'left out, with the reason')
def test_series_of_two_patients(tmp_path):
    for half, patient in ((slice(0, 3), 'one'), (slice(3, 6), 'two')):
        write_series(
            tmp_path / patient, make_voxels()[half], places=positions()[half], PatientID=patient
        )
    (tmp_path / 'in').mkdir()
    for patient in ('one', 'two'):
        (tmp_path / patient).rename(tmp_path / 'in' / patient)
    row = only_row(tmp_path)
    assert row['reason'] == 'mixed patient'
    assert row['detail'] == (
        '2 patients in one series; in 2 folders: --series-by-folder takes each as a series'
    )


KERNELS = ['B30f', 'Br40d/3', 'I31f/2', 'STANDARD', 'BonePlus', 'FC51', 'FC08-H', 'D', 'YA', '']
TEXTS = ['=cmd|calc', 'B30f\nname', PATIENT, 'Alonso', 'B30f Quixote', '+1', '@x', '-1', 'B' * 65]


def test_kernels_that_may_be_told():
    assert [kernel_word(kernel) for kernel in KERNELS] == KERNELS
    assert {kernel_word(text) for text in TEXTS} == {'other'}
    assert [modality_word(text) for text in ('CT', 'PT', '', 'QUIXOTE')] == [
        'other',
        'PT',
        'unknown',
        'other',
    ]


@pytest.mark.tried('DICOM', 'formulas, new lines and names in free text', 'not in any report')
@pytest.mark.parametrize('text', ['=cmd|calc', f'{PATIENT}', '@SUM(A1)', 'Quixote'])
def test_free_text_is_not_told(tmp_path, text, capfd):
    write_series(tmp_path / 'in/a', make_voxels(), '1.1', ConvolutionKernel=text)
    write_series(tmp_path / 'in/b', make_voxels(), '1.2', Modality=text[:16])
    paths = write_series(tmp_path / 'in/c', make_voxels(), '1.3', ConvolutionKernel=text)
    paths[0].write_bytes(paths[0].read_bytes()[:-60])
    report = convert(tmp_path / 'in', tmp_path / 'out')
    report.print()
    rows = rows_of(tmp_path / 'out')
    assert rows['1.1']['kernel'] == 'other' and rows['1.2']['detail'] == 'modality other'
    written = [path.read_bytes() for path in (tmp_path / 'out').glob('*.*')]
    printed = capfd.readouterr()
    assert not any(text.encode() in content for content in written)
    assert text not in printed.out + printed.err
    with (tmp_path / 'out/report.csv').open() as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not any(cell.startswith(('=', '+', '-', '@')) for cell in cells)


def test_what_pydicom_warns_of_is_not_logged(tmp_path, caplog):
    paths = write_series(tmp_path / 'in', make_voxels(), PatientAge='x')
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b'1.2.3\0', b'1.2.X\0'))  # no id of a series
    logging.getLogger('pydicom').setLevel(logging.WARNING)
    caplog.clear()
    only_row(tmp_path)
    assert not caplog.records


@pytest.mark.parametrize('word', ['', 'ANONYMOUS', 'anonymized', '0', '0000', ' - ', 'N/A', 'XXX'])
def test_words_that_stand_for_no_id_make_no_patient(word):
    assert hash_patient(word, KEY.encode()) is None
    assert hash_patient(f'{word}7', KEY.encode()) is not None
