"""What a conversion reports: all scans in a file, the first ones on the screen."""

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from mmdet3d_medical.datasets.converters import ConvertSettings, convert_volumes
from mmdet3d_medical.datasets.converters.report import ConversionReport, one_line, write_table


def make_report(folder, **lists):
    empty = dict(outside=[], missing=[], not_cropped=[], failures={})
    return ConversionReport(Path(folder) / 'index.json', 3, 2, 1, **empty | lists)


def read_lists(folder):
    with (folder / 'conversion.csv').open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def printed(report):
    console = Console(file=io.StringIO(), soft_wrap=True, highlight=False)
    report.print(console)
    return console.file.getvalue().splitlines()


@pytest.mark.tried(
    'data set',
    'a conversion in which many scans fail',
    'all in conversion.csv, the first 20 on the screen',
)
def test_every_failed_scan_is_named(tmp_path):
    failures = {f'scan{k:03d}': f'file {k} is cut off' for k in range(45)}
    report = make_report(
        tmp_path, failures=failures, missing=['absent'], notes={'scans are odd': ['a', 'b']}
    )
    report.write()
    rows = read_lists(tmp_path)
    assert {row['scan']: row['detail'] for row in rows if row['list'] == 'scans FAILED'} == failures
    assert [row['scan'] for row in rows if row['list'] == 'listed scans have no file'] == ['absent']
    assert [row['scan'] for row in rows if row['list'] == 'scans are odd'] == ['a', 'b']
    lines = printed(report)
    assert '45 scans FAILED:' in lines and '  ... and 25 more' in lines
    assert '  scan019: file 19 is cut off' in lines
    assert not [line for line in lines if 'scan020' in line]
    assert lines[-1] == f'all of these: {tmp_path / "conversion.csv"}'


def test_list_is_written_when_nothing_failed_too(tmp_path):
    make_report(tmp_path, failures={'a': 'once'}).write()
    report = make_report(tmp_path)
    report.write()
    assert read_lists(tmp_path) == [] and len(printed(report)) == 1


@pytest.mark.tried(
    'data set',
    'formulas and new lines in messages',
    'escaped in every table: a row is a line, no cell a formula',
)
def test_cells_are_one_line_and_no_formulas(tmp_path):
    texts = ['=cmd|calc', '+1', '-1', '@x', 'two\nlines\r\t\x1b[31m', 'a,"b"', 'Grüße', '\udcff']
    write_table(
        tmp_path / 'conversion.csv', ('list', 'scan', 'detail'), [(text, 7, '') for text in texts]
    )
    assert len((tmp_path / 'conversion.csv').read_bytes().splitlines()) == 1 + len(texts)
    assert [row['list'] for row in read_lists(tmp_path)] == [
        "'=cmd|calc",
        "'+1",
        "'-1",
        "'@x",
        r'two\nlines\r\t\x1b[31m',
        'a,"b"',
        'Grüße',
        r'\udcff',
    ]
    assert [row['scan'] for row in read_lists(tmp_path)] == ['7'] * len(texts)
    assert one_line('two\nlines') == r'two\nlines'


def test_converters_write_the_list(tmp_path):
    (tmp_path / 'in').mkdir()
    (tmp_path / 'in/a.nrrd').write_text('no image')
    report = convert_volumes([tmp_path / 'in'], [], tmp_path / 'out', ConvertSettings())
    (row,) = read_lists(tmp_path / 'out')
    assert row['scan'] == 'a' and row['detail'] == report.failures['a']
