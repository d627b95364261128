"""Tables are read as what they say, or not at all, with file and line."""

import gzip

import pytest

from mmdet3d_medical.datasets.converters.annotations import (
    csv_classes,
    csv_patients,
    read_annotations,
)
from mmdet3d_medical.evaluation.marks import read_findings, read_marks, read_scan_ids
from mmdet3d_medical.utils.tables import read_table

HEADER = 'seriesuid,coordX,coordY,coordZ,diameter_mm'
ROW = '001,-1.5,2,+3e1,.5'
READERS = (read_findings, lambda path: read_annotations(path, ['nodule']))


def write(tmp_path, content, name='a.csv'):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def both(path):
    """The only lesion, as the readers of annotations for training and for scoring see it."""
    findings, (scan_id, (lesion,)) = READERS[0](path), *READERS[1](path).items()
    assert findings.scan_ids == (scan_id,)
    assert findings.centers.tolist() == [lesion['center']]
    assert findings.diameters.tolist() == [lesion['diameter']]
    return scan_id, lesion['center'], lesion['diameter']


@pytest.mark.tried('annotations', 'UTF-8 with and without byte order mark, UTF-16', 'read alike')
@pytest.mark.tried('annotations', 'commas, semicolons or tabs; blanks around cells', 'read alike')
@pytest.mark.tried('annotations', 'line ends of Windows and of old Macs, empty lines', 'read alike')
@pytest.mark.parametrize(
    'content',
    [
        f'{HEADER}\n{ROW}\n',
        f'{HEADER}\n{ROW}',
        f'\ufeff{HEADER}\n{ROW}\n',
        f'{HEADER}\n{ROW}\n'.encode('utf-16'),
        f'{HEADER}\r\n\r\n{ROW}\r\n,,,,\r\n',
        f'\r{HEADER}\r{ROW}\r',
        f'{HEADER}\n{ROW}\n'.replace(',', ';'),
        f'{HEADER}\n{ROW}\n'.replace(',', '\t'),
        f'{HEADER}\n{ROW}\n'.replace(',', ' , '),
        '"seriesuid","coordX","coordY","coordZ","diameter_mm"\n"001","-1.5","2","+3e1",".5"\n',
        f'{HEADER},,\n{ROW},,,\n',
        f',{HEADER},note\n0,{ROW},"a, ""b""\nc"\n',
    ],
)
def test_one_lesion_in_many_spellings(tmp_path, content):
    assert both(write(tmp_path, content)) == ('001', [-1.5, 2, 30], 0.5)
    packed = write(tmp_path, gzip.compress((tmp_path / 'a.csv').read_bytes()), 'a.csv.gz')
    assert both(packed) == ('001', [-1.5, 2, 30], 0.5)


@pytest.mark.tried('annotations', 'decimal commas, separators of thousands', 'error with the line')
@pytest.mark.tried(
    'annotations', 'NaN, infinity, hexadecimal numbers, 1_000', 'error with the line'
)
@pytest.mark.tried('annotations', 'a line cut off, or with more cells', 'error with the line')
@pytest.mark.tried('annotations', 'a quotation mark that does not end', 'error with the line')
@pytest.mark.tried('annotations', 'a column twice, an empty file', 'error with the line')
@pytest.mark.tried('annotations', 'Latin-1, NUL bytes, pictures, cut gzip', 'error with the file')
@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (f'{HEADER}\nct1,13,5,13,2,40,1,8\n', r"line 2: expected 5 .* more: \['40', '1', '8'\]"),
        (f'{HEADER},,,\nct1,13,5,13,2,40,1,8\n', 'line 2: expected 5 values .* found more'),
        (f'{HEADER}\n{ROW}\n\nx,"1,5",2,3,4\n', "line 4: coordX .* found '1,5' .write a decimal"),
        (f'{HEADER}\nx,"1,234.5",2,3,4\n', "line 2: coordX .* found '1,234.5'"),
        (f'{HEADER}\nx;1,5;2;3;4\n'.replace(',', ';', 4), "line 2: coordX .* found '1,5'"),
        (f'{HEADER}\nx;1;2;3;4\n', 'line 2: expected 5 values as in the header, found 1'),
        (f'{HEADER}\n{ROW}\nx,1,2\n', 'line 3: expected 5 values as in the header, found 3'),
        (f'{HEADER}\nx,nan,2,3,4\n', "coordX must be a finite number, found 'nan'"),
        (f'{HEADER}\nx,1,-inf,3,4\n', "coordY must be a finite number, found '-inf'"),
        (f'{HEADER}\nx,1,1e999,3,4\n', "coordY must be a finite number, found '1e999'"),
        (f'{HEADER}\nx,1,1_0,3,4\n', "coordY must be a finite number, found '1_0'"),
        (f'{HEADER}\nx,1,0x1,3,4\n', "coordY must be a finite number, found '0x1'"),
        (f'{HEADER}\nx,1,\u0662,3,4\n', 'coordY must be a finite number'),
        (f'{HEADER}\nx,1,,3,4\n', "coordY must be a finite number, found ''"),
        (f'{HEADER}\n"x\ny",1,2,3,4\n', 'line 2: seriesuid must be plain text on one line'),
        (f'{HEADER}\n"x\n",1,2,3,4\nx,1,2,3,?\n', "line 4: diameter_mm .* found '?"),
        (f'{HEADER}\n  ,1,2,3,4\n', 'line 2: expected a scan id'),
        (f'{HEADER}\n"x,1,2,3,4\ny,1,2,3,4\n', 'line 2: expected a row of a CSV file'),
        (f'{HEADER}\nx,1,2,3,{"4" * 200_000}\n', 'line 2: expected a row of a CSV file'),
        (f'{HEADER},coordX\n{ROW},1\n', 'line 1: the column coordX is there twice'),
        (f'\n{HEADER.replace("coordZ", "z")}\n', 'line 2: expected .* lacks the columns coordZ'),
        ('', 'line 1: expected a header'),
        (f'{HEADER}\nM\xfcller,1,2,3,4\n'.encode('latin-1'), 'in UTF-8, found other .* line 2'),
        (f'{HEADER}\n{ROW}\n'.encode('utf-16-le'), 'found a NUL byte in line 1'),
        (b'\x89PNG\r\n\x1a\n', 'in UTF-8, found other data'),
    ],
)
@pytest.mark.parametrize('reader', READERS)
def test_what_could_be_misread_is_refused(tmp_path, reader, content, message):
    with pytest.raises(ValueError, match=f'a.csv.*{message}'):
        reader(write(tmp_path, content))


def test_damaged_and_missing_files_are_named(tmp_path):
    packed = gzip.compress(f'{HEADER}\n{ROW}\n'.encode())
    for content in (packed[:-9], packed[:20], b'plain text'):
        with pytest.raises(ValueError, match='a.csv.gz: expected a CSV file compressed'):
            read_table(write(tmp_path, content, 'a.csv.gz'))
    for missing in (tmp_path / 'no.csv', tmp_path):
        with pytest.raises(ValueError, match=f'{missing}: no such file'):
            read_table(missing)


@pytest.mark.tried('annotations', 'a header and no row', 'scans without lesions')
def test_a_header_alone_is_a_table_without_lesions(tmp_path):
    path = write(tmp_path, f'{HEADER},class,patient\n')
    assert read_annotations(path, ['nodule']) == {} and csv_patients(path) == {}
    assert csv_classes(path) == [] and len(read_findings(path).scan_ids) == 0


@pytest.mark.tried('annotations', 'a class with blanks around it', 'the class without them')
@pytest.mark.tried('annotations', 'several classes, a row without one', 'error with the line')
def test_classes(tmp_path):
    path = write(tmp_path, f'{HEADER},class\nx,1,2,3,4, node \nx,1,2,3,4,"mass "\n')
    assert csv_classes(path) == ['mass', 'node']
    lesions = read_annotations(path, ['mass', 'node'])['x']
    assert [lesion['label'] for lesion in lesions] == [1, 0]
    path = write(tmp_path, f'{HEADER},class\nx,1,2,3,4,node\nx,1,2,3,4,mass\nx,1,2,3,4,\n')
    with pytest.raises(ValueError, match="a.csv, line 4: class '' is none of"):
        read_annotations(path, csv_classes(path))
    assert read_findings(path).classes == ('node', 'mass', '')


@pytest.mark.tried('annotations', 'a scan of two patients', 'error with both lines')
def test_patients(tmp_path):
    rows = ['a,1,2,3,4,p1', 'b,1,2,3,4,', 'a,5,2,3,4, p1 ', 'c,1,2,3,4,p1', 'a,1,2,3,4,']
    path = write(tmp_path, '\n'.join([f'{HEADER},patient', *rows, '']))
    assert csv_patients(path) == {'a': 'p1', 'c': 'p1'}
    assert csv_patients(write(tmp_path, f'{HEADER}\n{ROW}\n')) == {}
    path = write(tmp_path, '\n'.join([f'{HEADER},patient', *rows, 'c,1,2,3,4,p2', '']))
    with pytest.raises(ValueError, match="line 7: scan c has .* 'p2', but 'p1' in .*a.csv, line 5"):
        csv_patients(path)


def test_marks_may_leave_the_diameter_empty_but_not_misspell_it(tmp_path):
    header = 'seriesuid;coordX;coordY;coordZ;probability;diameter_mm'
    marks = read_marks(write(tmp_path, f'{header}\n1;1;2;3;.5;\n1;1;2;3;.5;4\n'))
    assert str(marks.diameters.tolist()) == '[nan, 4.0]'
    with pytest.raises(ValueError, match="line 2: diameter_mm .* found 'large'"):
        read_marks(write(tmp_path, f'{header}\n1;1;2;3;.5;large\n'))


def test_lists_of_scans_keep_blanks_within_ids(tmp_path):
    text = '\ufeffseriesuid;n\r\n 001 ;5\r\n\r\nct one;6\r\n'
    assert read_scan_ids(write(tmp_path, text)) == ['001', 'ct one']


@pytest.mark.tried('annotations', 'a review that is unclear or contradicts', 'error with the line')
@pytest.mark.parametrize(
    ('rows', 'told'),
    [
        (['x,1,2,3,4,0,no lesion'], "line 2: says 'no lesion', but has a value in coordX, coordY"),
        (['x,,,,4,0,no lesion'], 'line 2: .* has a value in diameter_mm: leave these empty'),
        (['x,,,,,1,no lesion'], 'line 2: .* has a value in ignore'),
        (['x,,,,,0,No lesions'], "line 2: review must be one of .*, no lesion, found 'No lesions'"),
        (['x,1,2,3,4,0,reject'], "line 2: review must be one of .*, rejected, .*found 'reject'"),
        (
            ['x,,,,,0,'],
            'line 2: coordX must be a finite number|diameter_mm must be a finite number',
        ),
        (['x,,,,,0,no lesion', 'x,1,2,3,4,1,open'], 'line 3: has a finding .* line 2 says'),
        (['x,1,2,3,4,0,added', 'x,,,,,0,no lesion'], 'line 2: has a finding .* line 3 says'),
    ],
)
def test_reviews_that_are_unclear(tmp_path, rows, told):
    path = write(tmp_path, '\n'.join([f'{HEADER},ignore,review', *rows, '']))
    with pytest.raises(ValueError, match=f'a.csv, {told}'):
        read_annotations(path, ['nodule'])


def test_a_review_without_a_lesion_names_its_scan(tmp_path):
    path = write(tmp_path, f'{HEADER},review\nx,,,,,no lesion\ny,1,2,3,4,rejected\n')
    assert read_annotations(path, ['nodule']) == {'x': [], 'y': []}
