"""``report``: what is on the page, and what is told of scans that are not on it."""

import json
import re

import pytest

from mmdet3d_medical.cli import report
from mmdet3d_medical.cli.main import parse
from mmdet3d_medical.datasets import read_index
from mmdet3d_medical.evaluation.marks import Marks, write_marks
from mmdet3d_medical.utils.errors import UsageError


@pytest.fixture
def scans(data_root):
    return {scan['scan_id']: scan for scan in read_index(data_root / 'index.json')['scans']}


def run(tmp_path, data_root, rows, *options, index=None):
    """The data of the page that is written."""
    write_marks(tmp_path / 'marks.csv', Marks.from_rows(rows))
    index = index or data_root / 'index.json'
    arguments = [tmp_path / 'marks.csv', index, '-o', tmp_path / 'r.html', '--bootstrap', 9]
    report.main(parse('report', [*map(str, arguments), *options]))
    (found,) = re.findall(r'const DATA = (.*);</script>', (tmp_path / 'r.html').read_text())
    return json.loads(found)


def marks_of(scans):
    """scan0's lesion is hit, scan2's is missed, and there is a false positive in both."""
    hit = scans['scan0']['instances'][0]['center']
    far = [value + 14 for value in hit]
    return [
        ('scan0', hit, 0.9, 8.0, ''),
        ('scan0', far, 0.5, 8.0, ''),
        ('scan2', far, 0.7, 8.0, ''),
    ]


def test_misses_and_false_positives_are_shown(tmp_path, data_root, scans, capsys):
    data = run(tmp_path, data_root, marks_of(scans))
    missed, wrong = data['groups'].values()
    assert [entry['text'].split('; ')[0] for entry in missed] == ['scan2']
    assert missed[0]['text'].endswith('no mark')
    assert [entry['text'].split('; ')[-1] for entry in wrong] == ['score 0.70', 'score 0.50']
    assert all(entry['picture'].startswith('data:image/png') for entry in [*missed, *wrong])
    assert data['summary']['lesions found'] == '1 of 2' and data['summary']['scans'] == '2'
    told = capsys.readouterr().out
    assert f'{len(scans) - 2} annotated scans of the index have no mark' in told
    assert '1 of 2 lesions found' in told


def test_scans_without_a_mark_count_where_they_are_listed(tmp_path, data_root, scans, capsys):
    (tmp_path / 'tested.txt').write_text('scan0\nscan2\nscan4\n')
    options = '--seriesuids', str(tmp_path / 'tested.txt')
    data = run(tmp_path, data_root, marks_of(scans), *options)
    assert data['summary']['lesions found'] == '1 of 3'
    assert 'have no mark' not in capsys.readouterr().out


def test_classes_are_not_mixed(tmp_path, data_root, scans):
    index = json.loads((data_root / 'index.json').read_text())
    index['classes'] = ['node', 'cyst']
    for scan in index['scans']:
        scan['volume'] = str((data_root / scan['volume']).resolve())
        for instance in scan['instances']:
            instance['label'] = int(scan['scan_id'] == 'scan2')
    (tmp_path / 'index.json').write_text(json.dumps(index))
    rows = [(*row[:4], 'node') for row in marks_of(scans)]
    options = dict(index=tmp_path / 'index.json')
    with pytest.raises(UsageError, match='choose one with --class'):
        run(tmp_path, data_root, rows, **options)
    data = run(tmp_path, data_root, rows, '--class', 'node', '--allow-outside', **options)
    assert data['summary']['lesions found'] == '1 of 1'


def test_scans_that_nobody_annotated_are_left_out(tmp_path, data_root, scans, capsys):
    index = json.loads((data_root / 'index.json').read_text())
    for scan in index['scans']:
        scan['volume'] = str((data_root / scan['volume']).resolve())
        if scan['scan_id'] == 'scan2':
            scan['annotated'], scan['instances'] = False, []
    (tmp_path / 'index.json').write_text(json.dumps(index))
    options = dict(index=tmp_path / 'index.json')
    data = run(tmp_path, data_root, marks_of(scans), '--allow-outside', **options)
    assert data['summary']['lesions found'] == '1 of 1' and data['summary']['scans'] == '1'
    assert '1 of the 2 scans are not annotated' in capsys.readouterr().out


def test_marks_of_other_scans_are_refused(tmp_path, data_root):
    with pytest.raises(UsageError, match='none of the 1 scans with marks is there and annotated'):
        run(tmp_path, data_root, [('elsewhere', (0, 0, 0), 0.5, 8.0, '')])
