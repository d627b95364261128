"""Scan ids are names: not paths, formulas or several lines. Tables must spell them as scans do."""

import re

import numpy as np
import pytest
import SimpleITK as sitk

from mmdet3d_medical.datasets import VolumeDetDataset, write_index
from mmdet3d_medical.datasets.converters import ConvertSettings, convert_luna16, convert_volumes
from mmdet3d_medical.datasets.converters.cache import ScanSource, VolumeCache, convert_scans
from mmdet3d_medical.datasets.converters.volumes import annotate, find_scans
from mmdet3d_medical.datasets.index import read_index
from mmdet3d_medical.datasets.scan_ids import check_scan_id
from mmdet3d_medical.datasets.transforms.loading import LoadCandidates
from mmdet3d_medical.evaluation.metrics import FROCMetric

HEADER = 'seriesuid,coordX,coordY,coordZ,diameter_mm'
GEOMETRY = dict(
    origin=[0, 0, 0], spacing=[1, 1, 1], direction=[1, 0, 0, 0, 1, 0, 0, 0, 1], shape=[4, 4, 4]
)


def write_scans(folder, *names):
    folder.mkdir(exist_ok=True)
    for seed, name in enumerate(names):
        voxels = np.random.default_rng(seed).integers(-1000, 400, (4, 6, 8)).astype(np.int16)
        sitk.WriteImage(sitk.GetImageFromArray(voxels), str(folder / f'{name}.nii'))
    return folder


@pytest.mark.parametrize(
    'scan_id',
    ['00783', '1.3.6.1.4.1', 'ct one (2)', 'CT_1-b', "O'Brien", 'Röntgen', '肺', 'a' * 200, '.a'],
)
def test_names_are_accepted(scan_id):
    assert check_scan_id(scan_id) == scan_id


@pytest.mark.parametrize(
    ('scan_id', 'reason'),
    [
        ('', 'non-empty'),
        ('.', 'non-empty'),
        ('..', 'non-empty'),
        (' a', 'blank'),
        ('a ', 'blank'),
        ('a  b', 'blank'),
        ('a\nb', 'printed'),
        ('a\tb', 'printed'),
        ('a\x1b[2J', 'printed'),
        ('a\u202eb', 'printed'),  # turns the rest of the line around
        ('a\udcffb', 'printed'),  # a file name that is no UTF-8
        ('../a', 'holds /'),
        ('a\\b', r'holds \\'),
        ('a,b', 'holds ,'),
        ('a"b', 'holds "'),
        ('=cmd|x', 'begins with ='),
        ('+1', r'begins with \+'),
        ('-a', 'begins with -'),
        ('@a', 'begins with @'),
        ('a' * 201, 'longer than 200 bytes'),
        ('肺' * 67, 'longer than 200 bytes'),
    ],
)
def test_what_is_no_name_is_refused(scan_id, reason):
    with pytest.raises(ValueError, match=f'is no name for a scan: it .*{reason}'):
        check_scan_id(scan_id)


@pytest.mark.tried(
    'volumes',
    'a file called =1.nii, or with blanks at an end',
    'that scan fails with "rename the file", the others go on',
)
def test_volumes_with_other_names_fail_by_themselves(tmp_path):
    scans = write_scans(tmp_path / 's', 'good one', '=cmd', 'a;b', 'late ')
    report = convert_volumes([scans], [], tmp_path / 'out', ConvertSettings())
    assert set(report.failures) == {'=cmd', 'a;b', 'late '}
    assert report.failures['a;b'].startswith("'a;b' is no name for a scan: it holds ;. Rename")
    assert [s['scan_id'] for s in read_index(tmp_path / 'out/index.json')['scans']] == ['good one']
    assert sorted(path.stem for path in (tmp_path / 'out/volumes').iterdir()) == ['good one'] * 2


def test_an_id_that_leads_elsewhere_writes_nothing_there(tmp_path):
    """An id from the header of a file, as DICOM's, may hold anything."""
    image = write_scans(tmp_path / 's', 'a') / 'a.nii'
    cache = VolumeCache(tmp_path / 'out', ConvertSettings())
    records, failures = convert_scans([ScanSource('../../b', image)], cache)
    assert not records and 'it holds /' in failures['../../b']
    assert not list(tmp_path.rglob('b.*'))


def test_luna16_with_other_names_fails_by_itself(luna16_dir, tmp_path):
    for path in luna16_dir.glob('subset1/flipped.*'):
        text = path.read_bytes().replace(b'flipped.raw', b'-lipped.raw')
        path.with_name(path.name.replace('flipped', '-lipped')).write_bytes(text)
    report = convert_luna16(luna16_dir, tmp_path / 'out', ConvertSettings())
    assert set(report.failures) == {'-lipped'} and report.scans == 4
    assert 'begins with -' in report.failures['-lipped']


@pytest.mark.tried('index', 'a scan id with a blank inside, in a list of scans', 'read whole')
@pytest.mark.tried('index', 'a list of scans that a spreadsheet changed', 'error with the id')
def test_lists_of_scans_are_read_line_by_line(tmp_path):
    write_scans(tmp_path / 's', 'ct one', 'ct two', '007')
    convert_volumes([tmp_path / 's'], [], tmp_path / 'out', ConvertSettings())
    (tmp_path / 'out/some.txt').write_text('\ufeffct two\r\n\r\n 007 \r\n')
    dataset = VolumeDetDataset(str(tmp_path / 'out'), split='some.txt')
    assert [dataset.get_data_info(i)['scan_id'] for i in range(2)] == ['ct two', '007']
    (tmp_path / 'out/some.txt').write_text('7\n')
    with pytest.raises(ValueError, match='the split some.txt and .*index.json .* 7 and 007'):
        VolumeDetDataset(str(tmp_path / 'out'), split='some.txt')
    with pytest.raises(ValueError, match='must hold scan ids as text, found 7'):
        VolumeDetDataset(str(tmp_path / 'out'), split=['ct one', 7])


@pytest.mark.tried(
    'annotations',
    '001 that a spreadsheet made 1, or 1.26E+08',
    'error with both spellings, in converters, training and tests',
)
@pytest.mark.parametrize(
    ('spelled', 'name'),
    [
        ('1', '001'),
        ('1.26E+08', '126000001'),
        ("'001", '001'),
        ('CT1', 'ct1'),
        ('ct1.nii.gz', 'ct1'),
        ('scans/ct1', 'ct1'),
        ('Mu\u0308ller', 'M\xfcller'),
    ],
)
def test_respelt_ids_are_refused_wherever_tables_meet_scans(tmp_path, spelled, name):
    message = (
        re.escape(f'{spelled} and {name}')
        + '|'
        + re.escape(f'table.csv names {spelled}, the scans have {name}')
    )
    write_scans(tmp_path / 's', name, 'other')
    path = tmp_path / 'table.csv'
    path.write_text(f'{HEADER}\n{spelled},1,2,3,4\nother,1,2,3,4\n')
    with pytest.raises(ValueError, match=message):
        convert_volumes([tmp_path / 's'], [path], tmp_path / 'out', ConvertSettings())
    metric = FROCMetric(annotations=str(path))
    with pytest.raises(ValueError, match=message):
        metric._findings([dict(scan_id=name), dict(scan_id='other')], [''])
    path.write_text(f'{HEADER},probability\n{spelled},1,2,3,4,.5\n')
    with pytest.raises(ValueError, match=message):
        LoadCandidates(path).transform(dict(scan_id=name))


def test_luna16_with_respelt_ids_is_refused(luna16_dir, tmp_path):
    for path in luna16_dir.glob('subset0/straight.*'):
        text = path.read_bytes().replace(b'straight.raw', b'00783.raw')
        path.with_name(path.name.replace('straight', '00783')).write_bytes(text)
    (luna16_dir / 'seriesuids.csv').write_text('straight\nflipped\n783\n')
    with pytest.raises(ValueError, match='seriesuids.csv and the scans .* 783 and 00783'):
        convert_luna16(luna16_dir, tmp_path / 'out', ConvertSettings())


def test_ids_that_are_the_same_number_but_both_there_are_right(tmp_path):
    scans = find_scans([write_scans(tmp_path / 's', '1', '001', '2')])
    (tmp_path / 'a.csv').write_text(f'{HEADER},patient\n1,1,2,3,4,p\n9,1,2,3,4,q\n001,1,2,3,4,\n')
    sources, lesions, _, missing, _ = annotate(scans, [tmp_path / 'a.csv'])
    assert missing == ['9'] and set(lesions) == {'1', '001', '9'}
    assert {s.scan_id: s.patient for s in sources} == {'1': 'p', '001': None, '2': None}


@pytest.mark.tried(
    'index', 'a volume at ../, /, C: or with a backslash', 'error, unless --allow-outside'
)
@pytest.mark.parametrize(
    'volume',
    ['../a.npy', 'v/../../a.npy', '/a.npy', 'C:/a.npy', 'C:a.npy', '..\\a.npy', 'v\\a'],
)
def test_volumes_stay_in_the_folder_of_the_index(tmp_path, volume):
    scan = dict(scan_id='a', volume=volume, geometry=GEOMETRY, annotated=False, instances=[])
    write_index(tmp_path / 'index.json', dict(classes=['nodule'], scans=[scan]))
    with pytest.raises(ValueError, match='scan a: the volume .* lies outside'):
        VolumeDetDataset(str(tmp_path))
    dataset = VolumeDetDataset(str(tmp_path), allow_outside=True)
    assert dataset.get_data_info(0)['volume_path'] == str(tmp_path / volume)


def test_links_within_the_folder_are_followed(tmp_path):
    (tmp_path / 'elsewhere').mkdir()
    np.save(tmp_path / 'elsewhere/a.npy', np.zeros((4, 4, 4), np.int16))
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/volumes').symlink_to(tmp_path / 'elsewhere')
    scan = dict(
        scan_id='a', volume='volumes/a.npy', geometry=GEOMETRY, annotated=False, instances=[]
    )
    write_index(tmp_path / 'data/index.json', dict(classes=['nodule'], scans=[scan]))
    dataset = VolumeDetDataset(str(tmp_path / 'data'), pipeline=[dict(type='LoadVolume')])
    assert dataset.prepare_data(0)['volume'].shape == (1, 4, 4, 4)
