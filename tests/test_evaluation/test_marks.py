import math

import numpy as np
import pytest

from mmdet3d_medical.evaluation.marks import (
    Marks,
    read_findings,
    read_marks,
    read_scan_ids,
    respelt_id,
    write_marks,
)

HEADER = 'seriesuid,coordX,coordY,coordZ,probability'


def write(tmp_path, text, name='file.csv'):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_marks_survive_writing_and_reading(tmp_path):
    marks = Marks.from_rows(
        [
            ('00783', (1.25, -2.5, 3), 0.123456789, 4.5, '', (4, 4.5, 5)),
            ('x', (0, 0, 0), 1e-8, math.nan, ''),
        ]
    )
    write_marks(tmp_path / 'new' / 'marks.csv', marks)
    lines = (tmp_path / 'new' / 'marks.csv').read_text().splitlines()
    assert lines[0] == HEADER + ',diameter_mm,sizeX,sizeY,sizeZ'
    assert lines[1] == '00783,1.2500,-2.5000,3.0000,0.123456789,4.5000,4.0000,4.5000,5.0000'
    assert lines[2].endswith('1e-08,,,,')
    again = read_marks(tmp_path / 'new' / 'marks.csv')
    assert again.scan_ids == ('00783', 'x')
    assert again.centers.tolist() == [[1.25, -2.5, 3], [0, 0, 0]]
    assert again.scores.tolist() == [0.123456789, 1e-8]
    assert again.diameters[0] == 4.5 and math.isnan(again.diameters[1])
    assert again.sizes[0].tolist() == [4, 4.5, 5] and np.isnan(again.sizes[1]).all()


def test_extents_are_those_stated_else_the_diameter():
    rows = [('a', (0, 0, 0), 0.5, 4.0, '', (1, 2, 3)), ('a', (0, 0, 0), 0.4, 5.0, '')]
    assert Marks.from_rows(rows).extents().tolist() == [[1, 2, 3], [5, 5, 5]]
    assert Marks.from_rows([]).extents().shape == (0, 3)


def test_marks_of_a_score_and_above():
    marks = Marks.from_rows([(s, (0, 0, 0), s / 10, 4.0, '', (s, s, s)) for s in (9, 5, 4)])
    assert marks.of_score(0.5).scan_ids == (9, 5)
    assert marks.of_score(0.5).sizes.tolist() == [[9, 9, 9], [5, 5, 5]]


@pytest.mark.parametrize(
    ('sizes', 'message'),
    [('1,2,', "line 2: sizeZ must be .* found ''"), ('1,0,2', r'line 2: expected sizes above 0')],
)
def test_sizes_are_all_stated_and_positive(tmp_path, sizes, message):
    path = write(tmp_path, f'{HEADER},sizeX,sizeY,sizeZ\na,1,2,3,0.5,{sizes}\n')
    with pytest.raises(ValueError, match=message):
        read_marks(path)


def test_compressed_marks(tmp_path):
    marks = Marks.from_rows([('a', (1, 2, 3), 0.5, 4.0, '')] * 100)
    plain, packed, again = (tmp_path / name for name in ('m.csv', 'm.csv.gz', 'n.csv.gz'))
    for path in (plain, packed, again):
        write_marks(path, marks)
    assert packed.read_bytes() == again.read_bytes()
    assert packed.stat().st_size < plain.stat().st_size / 10
    assert read_marks(packed).centers.tolist() == marks.centers.tolist()
    for damaged in (packed.read_bytes()[:50], plain.read_bytes()):
        packed.write_bytes(damaged)
        with pytest.raises(ValueError, match='m.csv.gz: expected a CSV file'):
            read_marks(packed)


def test_classes_are_written_and_select_rows(tmp_path):
    rows = [('a', (0, 0, 0), 0.5, 4.0, 'cyst'), ('b', (0, 0, 0), 0.6, 4.0, 'stone')]
    write_marks(tmp_path / 'marks.csv', Marks.from_rows(rows))
    marks = read_marks(tmp_path / 'marks.csv')
    assert marks.classes == ('cyst', 'stone')
    assert marks.of_class('stone').scan_ids == ('b',)
    assert len(marks.of_class('other').scores) == 0


def test_submission_without_diameter_in_another_order(tmp_path):
    text = '\ufeffprobability,seriesuid,coordZ,coordY,coordX\n0.5, 007 ,3,2,1\n'
    marks = read_marks(write(tmp_path, text))
    assert marks.scan_ids == ('007',)
    assert marks.centers.tolist() == [[1, 2, 3]]
    assert math.isnan(marks.diameters[0])


def test_tabs_and_columns_of_others(tmp_path):
    text = 'rank\tseriesuid\tcoordX \tcoordY\tcoordZ\tprobability\tnote\n1\t 7 \t1\t2\t3\t.5\ta,b\n'
    marks = read_marks(write(tmp_path, text))
    assert marks.scan_ids == ('7',) and marks.centers.tolist() == [[1, 2, 3]]
    assert marks.scores.tolist() == [0.5]
    # What a spreadsheet leaves at the end of lines.
    marks = read_marks(write(tmp_path, f'{HEADER},\na,1,2,3,.5,,,\n'))
    assert marks.scores.tolist() == [0.5]


@pytest.mark.parametrize(
    ('scan_id', 'known', 'expected'),
    [
        ('783', ['x', '00783'], '00783'),
        ('783.0', ['783'], '783'),
        ('1.26E+08', ['126000001'], '126000001'),
        ('1.26E+08', ['127000001'], None),
        ('123456789012345000', ['00123456789012345678'], '00123456789012345678'),
        ('123456789012345100', ['123456789012345678'], None),
        # Beyond what a double can tell apart.
        ('12345678901234567890', ['12345678901234567891'], None),
        ('1.3.6.1', ['1.3.6.10'], None),
        ('nan', ['NaN'], None),
        ('1_0', ['10'], None),
    ],
)
def test_ids_that_are_the_same_number(scan_id, known, expected):
    assert respelt_id(['other', scan_id], known) == (expected and (scan_id, expected))


def test_empty_files_are_legal(tmp_path):
    marks = read_marks(write(tmp_path, HEADER + '\n'))
    assert marks.centers.shape == (0, 3) and marks.scores.shape == (0,)
    write_marks(tmp_path / 'out.csv', marks)
    assert read_marks(tmp_path / 'out.csv').centers.shape == (0, 3)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (
            HEADER + '\na,1,2,3,0.5\nb,1,two,3,0.5\n',
            "line 3: coordY must be a finite number, found 'two'",
        ),
        (HEADER + '\na,1,2,3,nan\n', 'line 2: probability must be a finite number'),
        (HEADER + '\na,1,2,3,inf\n', 'line 2: probability must be a finite number'),
        (HEADER + '\na,1,2\n', 'line 2: expected 5 values as in the header, found 3'),
        (HEADER + '\na,1,5,2,3,0.5\n', r"line 2: expected 5 values as in the header, .*\['0.5'\]"),
        (HEADER.replace(',', ';') + '\na;1,5;2;3;0.5\n', "line 2: coordX .* found '1,5'"),
        (HEADER + '\n,1,2,3,0.5\n', 'line 2: expected a scan id'),
        (HEADER + '\n ,1,2,3,0.5\n', 'line 2: expected a scan id'),
        ('a,1,2,3,0.5\n', 'line 1: expected a header'),
        ('seriesuid,coordX,coordY,coordZ\n', 'lacks the columns probability'),
        ('', 'line 1: expected a header'),
    ],
)
def test_errors_name_file_and_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=f'file.csv, {message}|file.csv.*{message}'):
        read_marks(write(tmp_path, text))


def test_findings_need_a_diameter(tmp_path):
    path = write(tmp_path, 'seriesuid,coordX,coordY,coordZ,diameter_mm\n01,1,2,3,-1\n')
    findings = read_findings(path)
    assert findings.scan_ids == ('01',) and findings.diameters.tolist() == [-1]
    with pytest.raises(ValueError, match='lacks the columns diameter_mm'):
        read_findings(write(tmp_path, HEADER + '\na,1,2,3,0.5\n'))


@pytest.mark.parametrize(
    'text', ['001\n02\n', 'seriesuid\n001\n\n02\n', 'seriesuid,n\n001,5\n02,6\n']
)
def test_scan_lists_with_and_without_header(tmp_path, text):
    assert read_scan_ids(write(tmp_path, text)) == ['001', '02']


def test_missing_and_empty_scan_lists(tmp_path):
    with pytest.raises(ValueError, match='no such file'):
        read_scan_ids(tmp_path / 'absent.csv')
    with pytest.raises(ValueError, match='lists no scan'):
        read_scan_ids(write(tmp_path, 'seriesuid\n'))


def test_a_score_that_was_read_from_a_file_keeps_its_mark(tmp_path):
    """.1 + .2 is written as .3 and is more; its neighbor below is written as .3 too."""
    scores = [np.nextafter(0.3, 0), 0.1 + 0.2, 0.29]
    marks = Marks.from_rows(('a', (0, 0, 0), score, 5.0, '') for score in scores)
    write_marks(tmp_path / 'marks.csv', marks)
    (lowest,) = {score for score in read_marks(tmp_path / 'marks.csv').scores if score > 0.295}
    assert len(marks.of_score(lowest).scores) == 2
