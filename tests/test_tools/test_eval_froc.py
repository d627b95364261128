import csv
import json
from pathlib import Path

import pytest

from mmdet3d_medical.datasets import write_index
from mmdet3d_medical.structures import VolumeGeometry

TOOL = 'analysis_tools/eval_froc'
# Nodules: 00783 found with .9, b missed. False positives: .8 in 00783; one in b is excluded.
MARKS = """seriesuid,coordX,coordY,coordZ,probability,diameter_mm
00783,1,0,0,0.9,5
00783,50,0,0,0.8,5
b,70,0,0,0.95,5
"""
ANNOTATIONS = """seriesuid,coordX,coordY,coordZ,diameter_mm
00783,0,0,0,6
b,0,0,0,6
"""
EXCLUDED = """seriesuid,coordX,coordY,coordZ,diameter_mm
b,72,0,0,-1
"""


@pytest.fixture
def evaluate(run_tool):
    """Run the tool where its files lie; gives the exit status."""
    texts = dict(marks=MARKS, annotations=ANNOTATIONS, excluded=EXCLUDED, scans='00783\nb\nc\nd\n')
    for name, text in texts.items():
        Path(f'{name}.csv').write_text(text)
    return lambda *args: run_tool(TOOL, *args)


def test_everything_at_once(evaluate, capsys):
    status = evaluate(
        'marks.csv', '--annotations', 'annotations.csv', '--excluded', 'excluded.csv',
        '--seriesuids', 'scans.csv', '--bootstrap', '50', '--seed', '1',
        '--json', 'new/scores.json', '--plot', 'new/curve.png',
    )  # fmt: skip
    assert status == 0
    scores = json.loads(Path('new/scores.json').read_text())
    assert {key: scores[key] for key in ('tp', 'fp', 'fn', 'scans', 'nodules')} == {
        'tp': 1, 'fp': 1, 'fn': 1, 'scans': 4, 'nodules': 2,
    }  # fmt: skip
    assert scores['cpm'] == 0.5 and set(scores['sensitivity'].values()) == {0.5}
    assert len(scores['ci95']) == 8 and len(scores['ci95']['cpm']) == 2
    # Both nodules have 6 mm, the upper end of their group.
    assert list(scores['by_size']) == ['3-6']
    assert scores['by_size']['3-6'] == {
        'cpm': 0.5,
        'tp': 1,
        'nodules': 2,
        'sensitivity': scores['sensitivity'],
    }
    printed = capsys.readouterr().out
    assert '0.500' in printed and 'CPM' in printed
    assert Path('new/curve.png').stat().st_size > 0


def test_scans_default_to_those_in_the_files_and_it_says_so(evaluate, capsys):
    evaluate('marks.csv', '--annotations', 'annotations.csv', '--bootstrap', 0, '--json', 's.json')
    printed = capsys.readouterr().out
    assert 'taking the 2 scans in the annotations and the marks' in printed
    scores = json.loads(Path('s.json').read_text())
    # Without the excluded findings b's mark of .95 comes first, at half a false positive a scan.
    assert (scores['scans'], scores['fp'], scores['ci95']) == (2, 2, {})
    assert [scores['sensitivity'][rate] for rate in ('0.25', '0.5')] == [0, 0.5]


def test_rows_of_scans_that_are_not_listed_are_reported(evaluate, capsys):
    Path('one.csv').write_text('00783\n')
    evaluate('marks.csv', '--annotations', 'annotations.csv', '--seriesuids', 'one.csv')
    printed = capsys.readouterr().out
    assert '1 marks lie in scans that are not listed and do not count, the first in b' in printed
    assert '1 lesions lie in scans that are not listed' in printed


def test_scans_without_marks_are_reported(evaluate, capsys):
    evaluate('marks.csv', '--annotations', 'annotations.csv', '--seriesuids', 'scans.csv')
    assert 'marks.csv: 2 of the 4 scans have no marks' in capsys.readouterr().out


def test_mistakes_are_written(evaluate):
    common = (
        '--annotations',
        'annotations.csv',
        '--excluded',
        'excluded.csv',
        '--seriesuids',
        'scans.csv',
        '--errors',
        'new/errors.csv',
    )
    assert evaluate('marks.csv', *common) == 0
    missed, false = csv.DictReader(Path('new/errors.csv').open())
    assert list(missed.values()) == ['marks', 'missed', 'b', '0', '0', '0', '6', '', '']
    # One false positive in four scans.
    assert list(false.values()) == [
        'marks',
        'false positive',
        '00783',
        '50',
        '0',
        '0',
        '5',
        '0.8',
        '0.25',
    ]


def test_what_marks_of_a_score_are_worth(evaluate, capsys):
    args = (
        '--annotations',
        'annotations.csv',
        '--excluded',
        'excluded.csv',
        '--seriesuids',
        'scans.csv',
        '--json',
        's.json',
        '--thresholds',
        0.95,
        0.9,
        0.8,
    )
    assert evaluate('marks.csv', *args) == 0
    printed = capsys.readouterr().out
    assert 'precision' in printed and '0.250' in printed
    points = json.loads(Path('s.json').read_text())['by_score']
    # b's mark of .95 lies in an excluded finding, .9 hits one of two nodules, .8 is false.
    assert [tuple(point.values()) for point in points] == [
        (0.95, 0, 0, 0.0, None, 0.0),
        (0.9, 1, 0, 0.5, 1.0, 0.0),
        (0.8, 1, 1, 0.5, 0.5, 0.25),
    ]
    evaluate('marks.csv', 'marks.csv', *args, '--names', 'a', 'b')
    assert 'b 0.95' in capsys.readouterr().out


def write_index_of(**annotated):
    """An index of scans of a cube each; 00783 and b have a lesion in the middle if annotated."""
    geometry = VolumeGeometry((-4.0,) * 3, (1.0,) * 3, (1, 0, 0, 0, 1, 0, 0, 0, 1), (8, 8, 8))
    scans = [
        dict(
            scan_id=name.strip('_'),
            volume='none.npy',
            geometry=geometry.to_dict(),
            annotated=known,
            instances=[dict(center=[0, 0, 0], diameter=6)] * (known and name in ('_00783', 'b')),
        )
        for name, known in annotated.items()
    ]
    write_index('index.json', dict(classes=['nodule'], spacing=None, settings={}, scans=scans))


@pytest.mark.parametrize('listed', [True, False])
def test_scans_that_the_index_does_not_annotate_are_not_scored(evaluate, capsys, listed):
    """b's mark is no false positive: nobody looked for lesions in b. d is not in the index."""
    write_index_of(_00783=True, b=False, c=True)
    args = ('--seriesuids', 'scans.csv') if listed else ()
    args = ('--annotations', 'index.json', *args, '--json', 's.json', '--bootstrap', 0)
    assert evaluate('marks.csv', *args) == 0
    printed = capsys.readouterr().out
    assert f'index.json: 1 of the {4 if listed else 2} scans are not annotated' in printed
    assert 'not listed' not in printed and ('2 of the 3 scans have no marks' in printed) == listed
    scores = json.loads(Path('s.json').read_text())
    assert (scores['scans'], scores['tp'], scores['fp']) == (3 if listed else 1, 1, 1)
    assert scores['cpm'] == 1


def test_a_row_to_ignore_is_neither_a_lesion_nor_a_false_positive(evaluate):
    """The mark in 00783 at 50 mm lies in one, b has nothing else and was searched."""
    header, first, second = ANNOTATIONS.splitlines()
    rows = [f'{header},ignore', f'{first},0', '00783,50,0,0,6,1', f'{second},1']
    Path('ignoring.csv').write_text('\n'.join([*rows, '']))
    args = ('--annotations', 'ignoring.csv', '--json', 's.json', '--bootstrap', 0)
    for more in ((), ('--excluded', 'excluded.csv')):
        assert evaluate('marks.csv', *args, *more) == 0
        scores = json.loads(Path('s.json').read_text())
        assert (scores['scans'], scores['nodules'], scores['tp']) == (2, 1, 1)
        assert scores['fp'] == (0 if more else 1)  # b's mark at 70 mm


REVIEW = """seriesuid,coordX,coordY,coordZ,sizeX,sizeY,sizeZ,class,ignore,review,probability
00783,0,0,0,6,6,6,nodule,0,accepted,0.9
00783,50,0,0,6,6,6,nodule,0,rejected,0.8
c,,,,,,,,0,no lesion,
"""


@pytest.mark.parametrize('listed', [True, False])
def test_a_review_is_scored_as_it_was_saved(evaluate, capsys, listed):
    """The rejected finding is a false positive; nobody reviewed b and d; c has no lesion."""
    Path('review.csv').write_text(REVIEW)
    args = ('--seriesuids', 'scans.csv') if listed else ()
    args = ('--annotations', 'review.csv', *args, '--json', 's.json', '--bootstrap', 0)
    assert evaluate('marks.csv', *args) == 0
    scores = json.loads(Path('s.json').read_text())
    assert (scores['scans'], scores['nodules'], scores['tp'], scores['fp']) == (2, 1, 1, 1)
    printed = capsys.readouterr().out
    left_out, total = (2, 4) if listed else (1, 3)
    assert f'review.csv: {left_out} of the {total} scans are not annotated' in printed


def test_a_scan_whose_id_a_spreadsheet_changed_is_not_taken_for_unreviewed(evaluate, capsys):
    Path('review.csv').write_text(REVIEW.replace('c,,', '783,,').replace('00783,', 'b,'))
    args = ('--annotations', 'review.csv', '--seriesuids', 'scans.csv')
    assert evaluate('marks.csv', *args) == 2
    assert '783 and 00783' in capsys.readouterr().err


def test_scans_of_which_none_is_annotated_are_refused(evaluate, capsys):
    write_index_of(_00783=False, b=False, c=True)
    Path('two.csv').write_text('00783\nb\n')
    args = ('--annotations', 'index.json', '--seriesuids', 'two.csv')
    assert evaluate('marks.csv', *args) == 2
    assert 'index.json: none of the 2 scans is annotated there' in capsys.readouterr().err


@pytest.mark.parametrize('separator', ['\t', ';'])
def test_other_separators_score_alike(evaluate, separator):
    Path('other.csv').write_text(MARKS.replace(',', separator))
    Path('listed.csv').write_text(separator.join(['seriesuid', 'n']) + f'\n00783{separator}5\nb\n')
    for name in ('marks', 'other'):
        assert (
            evaluate(
                f'{name}.csv',
                '--annotations',
                'annotations.csv',
                '--seriesuids',
                'listed.csv',
                '--json',
                f'{name}.json',
            )
            == 0
        )
    assert Path('marks.json').read_text() == Path('other.json').read_text()


@pytest.mark.parametrize('listed', [True, False])
@pytest.mark.parametrize('written', ['783', '783.0', '7.83E+02', '7.8E+02'])
def test_ids_that_a_spreadsheet_took_for_numbers(evaluate, capsys, written, listed):
    Path('numbers.csv').write_text(MARKS.replace('00783', written))
    args = ('--seriesuids', 'scans.csv') if listed else ()
    assert evaluate('numbers.csv', '--annotations', 'annotations.csv', *args) == 2
    error = capsys.readouterr().err
    assert 'numbers.csv' in error and f'{written} and 00783' in error and 'spreadsheet' in error


def test_marks_of_other_scans_only_are_refused(evaluate, capsys):
    Path('foreign.csv').write_text(MARKS.replace('00783', 'x').replace('b,', 'y,'))
    assert (
        evaluate('foreign.csv', '--annotations', 'annotations.csv', '--seriesuids', 'scans.csv')
        == 2
    )
    assert "none of its 3 marks lies in a listed scan. It has ids like 'x'" in (
        capsys.readouterr().err
    )


def test_several_files_side_by_side(evaluate, capsys):
    # The second file finds b's nodule too, ahead of both false positives.
    found = f'{MARKS}b,0,0,0,0.99,5\n'
    for name, text in (('plain', MARKS), ('mixed', found)):
        Path(name).mkdir()
        Path(f'{name}/marks.csv').write_text(text)
    common = (
        '--annotations',
        'annotations.csv',
        '--excluded',
        'excluded.csv',
        '--seriesuids',
        'scans.csv',
        '--bootstrap',
        '50',
        '--json',
        's.json',
    )
    assert evaluate('plain/marks.csv', 'mixed/marks.csv', *common, '--plot', 'curves.png') == 0
    printed = capsys.readouterr().out
    assert 'minus the first' in printed and '+0.500' in printed and 'mixed' in printed
    plain, mixed = json.loads(Path('s.json').read_text())
    assert (plain['name'], plain['cpm'], mixed['name'], mixed['cpm']) == ('plain', 0.5, 'mixed', 1)
    assert 'difference' not in plain and mixed['difference']['cpm'] == 0.5
    assert len(mixed['difference']['ci95']) == 2 and mixed['scans'] == 4
    assert Path('curves.png').stat().st_size > 0

    evaluate('plain/marks.csv', *common)  # each alone scores as it does beside others
    alone = json.loads(Path('s.json').read_text())
    assert {**alone, 'name': 'plain'} == plain
    evaluate('plain/marks.csv', 'plain/marks.csv', *common, '--names', 'a', 'b')
    assert 'not resolved' in capsys.readouterr().out
    assert json.loads(Path('s.json').read_text())[1]['difference'] == {
        'cpm': 0,
        'ci95': [0, 0],
        'verdict': 'not resolved',
    }


def test_scans_of_all_files_count_for_each(evaluate, capsys):
    Path('other.csv').write_text(MARKS.replace('00783,50', 'c,50'))
    evaluate('marks.csv', 'other.csv', '--annotations', 'annotations.csv', '--json', 's.json')
    assert 'taking the 3 scans' in capsys.readouterr().out
    assert [row['scans'] for row in json.loads(Path('s.json').read_text())] == [3, 3]


@pytest.mark.parametrize(
    'names, message',
    [
        ([], "found ['marks.csv', 'marks.csv']"),
        (['--names', 'a'], "found ['a']"),
        (['--names', 'a', 'a'], "found ['a', 'a']"),
    ],
)
def test_files_need_different_names(evaluate, capsys, names, message):
    assert evaluate('marks.csv', 'marks.csv', '--annotations', 'annotations.csv', *names) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['absent.csv', '--annotations', 'annotations.csv'], 'absent.csv: no such file'),
        (['marks.csv', '--annotations', 'scans.csv'], 'scans.csv, line 1: expected a header'),
        (
            ['marks.csv', '--annotations', 'annotations.csv', '--seriesuids', 'other.csv'],
            'has no lesion in any of the 1 scans',
        ),
        (['picture.csv', '--annotations', 'annotations.csv'], 'picture.csv: expected a CSV file'),
        (['marks.csv', '--annotations', 'two.csv'], 'choose one with --class'),
        (['marks.csv', '--annotations', 'two.csv', '--class', 'mass'], '--class mass'),
    ],
)
def test_errors_are_messages(evaluate, capsys, args, message):
    Path('other.csv').write_text('784\n')
    Path('picture.csv').write_bytes(b'\x89PNG\r\n\x1a\n')
    header, first, second = ANNOTATIONS.splitlines()
    Path('two.csv').write_text(f'{header},class\n{first},cyst\n{second},stone\n')
    assert evaluate(*args) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ('option', 'value', 'message'),
    [
        ('--max-marks', '0', 'an integer of at least 1, found 0'),
        ('--bootstrap', '-1', 'an integer of at least 0, found -1'),
        ('--seed', 'x', "invalid integer value: 'x'"),
        ('--plot', 'curve.foo', 'found curve.foo'),
    ],
)
def test_wrong_options_are_refused_before_scoring(evaluate, capsys, option, value, message):
    assert evaluate('marks.csv', '--annotations', 'annotations.csv', option, value) == 2
    printed = capsys.readouterr()
    assert message in printed.err and not printed.out
