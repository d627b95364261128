"""LUNA16's folder as it is downloaded: what is doubled, missing, nested, compressed or outside."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from rich.console import Console

from mmdet3d_medical.datasets.converters import ConvertSettings, convert_luna16
from mmdet3d_medical.datasets.index import read_index

NATIVE = ConvertSettings()
TOOL = Path(__file__).parents[2] / 'tools/dataset_converters/luna16.py'
LUNGS = 'seg-lungs-LUNA16'
MASK_NOTE = 'nodules lie outside the lungs of the lung mask and are kept'
DOUBLE_NOTE = 'scans are in several subsets and count for the first that can be read'


def write_mask(luna16_dir, path, labels=None):
    """A compressed lung mask of a scan; by default one half is a lung, the other half another."""
    image = sitk.ReadImage(str(luna16_dir / path))
    if labels is None:
        labels = np.full(image.GetSize()[::-1], 3, np.uint8)
        labels[..., 16:] = 4
    mask = sitk.GetImageFromArray(labels)
    mask.CopyInformation(image)
    (luna16_dir / LUNGS).mkdir(exist_ok=True)
    sitk.WriteImage(mask, str(luna16_dir / LUNGS / Path(path).name), True)


def copy_scan(luna16_dir, scan_id, subset, to):
    (luna16_dir / to).mkdir(exist_ok=True)
    for end in ('mhd', 'raw'):
        shutil.copy(luna16_dir / subset / f'{scan_id}.{end}', luna16_dir / to)


def printed(report):
    console = Console(soft_wrap=True, highlight=False, width=100, record=True)
    report.print(console)
    return console.export_text()


def table_rows(report):
    """The cells of the table by the first of each row."""
    columns = [list(column.cells) for column in report.table.columns]
    return {row[0]: tuple(map(int, row[1:])) for row in zip(*columns, strict=True)}


def subsets_of(out):
    return {scan['scan_id']: scan['subset'] for scan in read_index(out / 'index.json')['scans']}


def test_compressed_scans_are_the_same(luna16_dir, tmp_path):
    convert_luna16(luna16_dir, tmp_path / 'raw', NATIVE)
    for path in sorted(luna16_dir.glob('subset*/*.mhd')):
        image = sitk.ReadImage(str(path))
        path.with_suffix('.raw').unlink()
        sitk.WriteImage(image, str(path), True)
        assert path.with_suffix('.zraw').exists() and image.GetNumberOfPixels()
    convert_luna16(luna16_dir, tmp_path / 'zraw', NATIVE)
    for scan_id in ('straight', 'flipped', 'turned', 'sagittal'):
        one, two = (tmp_path / f'{kind}/volumes/{scan_id}.npy' for kind in ('raw', 'zraw'))
        assert one.read_bytes() == two.read_bytes()
    record = json.loads((tmp_path / 'zraw/volumes/straight.json').read_text())
    assert set(record['made_from']['files']['image']) == {
        'subset0/straight.mhd',
        'subset0/straight.zraw',
    }


def test_scan_in_two_subsets_belongs_to_the_first(luna16_dir, tmp_path):
    copy_scan(luna16_dir, 'straight', 'subset0', 'subset3')
    copy_scan(luna16_dir, 'flipped', 'subset1', 'subset0')
    report = convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    assert subsets_of(tmp_path / 'out') == dict(straight=0, flipped=0, turned=0, sagittal=1)
    assert report.notes[DOUBLE_NOTE] == ['flipped: subset0, subset1', 'straight: subset0, subset3']
    assert table_rows(report)['together'] == (4, 4, 4) and not report.failures


def test_copy_that_can_be_read_is_taken(luna16_dir, tmp_path):
    copy_scan(luna16_dir, 'straight', 'subset0', 'subset3')
    (luna16_dir / 'subset0/straight.raw').write_bytes(b'cut off')
    report = convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    assert subsets_of(tmp_path / 'out')['straight'] == 3 and not report.failures


def test_copies_that_differ_are_refused(luna16_dir, tmp_path):
    copy_scan(luna16_dir, 'straight', 'subset0', 'subset3')
    path = luna16_dir / 'subset3/straight.mhd'
    sitk.WriteImage(sitk.ReadImage(str(path)) + 1, str(path))
    report = convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    assert set(report.failures) == {'straight'} and 'straight' not in subsets_of(tmp_path / 'out')
    assert 'subset0/straight.mhd and ' in report.failures['straight']
    assert table_rows(report)['failed'] == (1, 1, 1) and report.notes[DOUBLE_NOTE] == []


def test_archives_that_unpack_one_folder_deeper(luna16_dir, tmp_path):
    labels = np.zeros((24, 36, 32), np.uint8)
    labels[10:14, 15:25, 8:16] = 3
    write_mask(luna16_dir, 'subset0/straight.mhd', labels)
    (luna16_dir / 'annotations_excluded.csv').write_text(
        'seriesuid,coordX,coordY,coordZ,diameter_mm\nflipped,-70,15,-280,-1\n'
    )
    (luna16_dir / 'seriesuids.csv').write_text('straight\nflipped\nturned\nsagittal\nlost\n')
    settings = ConvertSettings(crop='lungs', margin=0)
    convert_luna16(luna16_dir, tmp_path / 'flat', settings)
    for name in ('subset0', 'subset1', LUNGS):
        (luna16_dir / name).rename(luna16_dir / 'inner')
        (luna16_dir / name).mkdir()
        (luna16_dir / 'inner').rename(luna16_dir / name / name)
    (luna16_dir / 'evaluationScript/annotations').mkdir(parents=True)
    for name in ('annotations_excluded.csv', 'seriesuids.csv'):
        (luna16_dir / name).rename(luna16_dir / 'evaluationScript/annotations' / name)
    report = convert_luna16(luna16_dir, tmp_path / 'deep', settings)
    flat, deep = (read_index(tmp_path / f'{name}/index.json') for name in ('flat', 'deep'))
    assert flat == deep and report.missing == ['lost']
    shapes = {scan['scan_id']: scan['geometry']['shape'] for scan in deep['scans']}
    assert shapes['straight'] == [4, 10, 8]


def test_table_counts_every_scan_and_nodule_once(luna16_dir, tmp_path):
    with (luna16_dir / 'annotations.csv').open('a') as file:
        file.write('straight,-50,35,-270,5\nabsent,0,0,0,5\nabsent,9,0,0,5\n')
    (luna16_dir / 'seriesuids.csv').write_text('straight\nflipped\nturned\nsagittal\nlost\n')
    (luna16_dir / 'subset0/turned.raw').unlink()
    report = convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    assert table_rows(report) == {
        'subset0': (1, 1, 2),
        'subset1': (2, 2, 2),
        'failed': (1, 1, 1),
        'without a file': (2, 1, 2),
        'together': (6, 5, 7),
        'LUNA16 has': (888, 601, 1186),
    }
    assert report.notes["of LUNA16's subsets are not there"] == [f'subset{k}' for k in range(2, 10)]
    text = printed(report)
    assert "8 of LUNA16's subsets are not there:" in text and 'with nodules' in text
    assert '1 table is empty or not there' in text and 'annotations_excluded.csv' in text


def test_excluded_findings_are_no_nodules_of_the_table(luna16_dir, tmp_path):
    (luna16_dir / 'annotations_excluded.csv').write_text(
        'seriesuid,coordX,coordY,coordZ,diameter_mm\nflipped,-70,15,-280,-1\nturned,1,2,3,4\n'
    )
    report = convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    assert table_rows(report)['together'] == (4, 4, 4)


def test_nodules_outside_the_lung_mask_are_kept(luna16_dir, tmp_path):
    """Of two nodules in each scan, one lies in the lungs, the other where the mask is cut away."""
    center = {}
    for path in ('subset0/straight.mhd', 'subset1/flipped.mhd', 'subset1/sagittal.mhd'):
        image = sitk.ReadImage(str(luna16_dir / path))
        labels = np.full((24, 36, 32), 3, np.uint8)
        labels[20:] = 5  # the trachea is not lung; the scan's nodule is in slice 12
        write_mask(luna16_dir, path, labels)
        center[Path(path).stem] = image.TransformContinuousIndexToPhysicalPoint((5.0, 5.0, 21.0))
    with (luna16_dir / 'annotations.csv').open('a') as file:
        for scan_id, point in center.items():
            file.write(','.join(map(str, (scan_id, *point, 5))) + '\n')
        file.write('straight,500,0,0,5\n')  # beyond the scan
        file.write(','.join(map(str, ('turned', *center['straight'], 5))) + '\n')  # has no mask
    report = convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    assert report.notes[MASK_NOTE] == ['flipped', 'sagittal', 'straight', 'straight']
    assert report.outside == ['straight'] and report.lesions == 9
    again = convert_luna16(luna16_dir, tmp_path / 'out', NATIVE, workers=2)
    assert again.notes == report.notes


def test_masks_that_are_absent_are_reported_where_they_are_used(luna16_dir, tmp_path):
    write_mask(luna16_dir, 'subset0/straight.mhd')
    note = 'scans have no lung mask'
    assert convert_luna16(luna16_dir, tmp_path / 'out', NATIVE).notes[note] == []
    for settings in (ConvertSettings(crop='lungs'), ConvertSettings(outside=0)):
        report = convert_luna16(luna16_dir, tmp_path / 'out', settings)
        assert report.notes[note] == ['flipped', 'sagittal', 'turned']
    assert report.not_filled == ['flipped', 'sagittal', 'turned']


def test_mask_that_cannot_be_read(luna16_dir, tmp_path):
    write_mask(luna16_dir, 'subset0/straight.mhd')
    (luna16_dir / LUNGS / 'straight.zraw').write_bytes(b'nonsense')
    report = convert_luna16(luna16_dir, tmp_path / 'out', ConvertSettings(crop='lungs'))
    assert set(report.failures) == {'straight'} and LUNGS in report.failures['straight']
    assert convert_luna16(luna16_dir, tmp_path / 'out', NATIVE).scans == 4  # does not need it


def test_records_of_older_versions_stand(luna16_dir, tmp_path):
    """Settings that they do not know had the value that is now the default."""
    convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    volume, path = (tmp_path / f'out/volumes/straight.{end}' for end in ('npy', 'json'))
    record = json.loads(path.read_text())
    del record['made_from']['settings']['outside'], record['filled']
    path.write_text(json.dumps(record))
    before = volume.stat().st_mtime_ns
    convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    assert volume.stat().st_mtime_ns == before
    record['made_from']['settings']['crop'] = 'lungs'
    path.write_text(json.dumps(record))
    convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    assert volume.stat().st_mtime_ns > before


def test_command_line(luna16_dir, tmp_path):
    write_mask(luna16_dir, 'subset0/straight.mhd')
    call = [
        sys.executable,
        TOOL,
        luna16_dir,
        '--out',
        tmp_path / 'out',
        '--crop',
        'lungs',
        '--outside-lungs',
        '0',
        '--lung-dilation',
        '3',
        '--workers',
        '1',
    ]
    done = subprocess.run(list(map(str, call)), capture_output=True, encoding='utf-8')
    assert done.returncode == 0, done.stderr
    assert 'LUNA16 has' in done.stdout and '1186' in done.stdout
    settings = read_index(tmp_path / 'out/index.json')['settings']
    assert (settings['outside'], settings['dilation'], settings['crop']) == (0, 3, 'lungs')


def test_folders_of_other_names_are_no_subsets(luna16_dir, tmp_path):
    copy_scan(luna16_dir, 'straight', 'subset0', 'subset0_old')
    report = convert_luna16(luna16_dir, tmp_path / 'out', NATIVE)
    assert report.notes[DOUBLE_NOTE] == [] and report.scans == 4
