import pytest

from mmdet3d_medical.datasets import write_index
from mmdet3d_medical.datasets.converters import read_annotations
from mmdet3d_medical.evaluation.marks import read_findings
from mmdet3d_medical.evaluation.truth import read_truth, scans_to_score
from mmdet3d_medical.utils.errors import UsageError

GEOMETRY = dict(
    origin=[0, 0, 0], spacing=[1, 1, 1], direction=[1, 0, 0, 0, 1, 0, 0, 0, 1], shape=[8, 8, 8]
)


def write_scans(path, instances, unannotated=(), classes=('nodule',)):
    """An index of these scans, given their instances."""
    scans = [
        dict(
            scan_id=name,
            volume='none.npy',
            geometry=GEOMETRY,
            annotated=name not in unannotated,
            instances=lesions,
        )
        for name, lesions in instances.items()
    ]
    write_index(path, dict(classes=list(classes), spacing=None, settings={}, scans=scans))


@pytest.mark.parametrize('classes', [['nodule'], ['cyst', 'tumor']])
def test_lesions_of_an_index(tmp_path, classes):
    lesions = [
        dict(center=[1.0, 2.0, 3.0], size=[2.0, 4.0, 8.0], label=len(classes) - 1),
        dict(center=[4.0, 5.0, 6.0], diameter=7.0, ignore=True),
    ]
    path = tmp_path / 'index.json'
    write_scans(path, dict(a=[], b=lesions, c=[]), 'c', classes)
    truth = read_truth(path)
    found, ignored = truth.lesions, truth.ignored
    assert (found.scan_ids, ignored.scan_ids) == (('b',), ('b',))
    assert found.centers.tolist() == [[1, 2, 3]] and ignored.centers.tolist() == [[4, 5, 6]]
    assert found.diameters.tolist() == pytest.approx([4]) and ignored.diameters.tolist() == [7]
    assert found.classes == (('tumor',) if len(classes) > 1 else ('',))
    (tmp_path / 'excluded.csv').write_text(
        'seriesuid,coordX,coordY,coordZ,diameter_mm\na,0,0,0,1\n'
    )
    assert read_truth(path, tmp_path / 'excluded.csv').ignored.scan_ids == ('a',)
    truth = read_truth(tmp_path / 'excluded.csv')
    assert truth.lesions.scan_ids == ('a',) and not len(truth.ignored.scan_ids)


@pytest.mark.tried('annotations', 'scoring: rows with `ignore` 1', 'marks on them do not count')
def test_rows_to_ignore_count_neither_way(tmp_path):
    path, excluded = tmp_path / 'a.csv', tmp_path / 'e.csv'
    path.write_text(
        'seriesuid,coordX,coordY,coordZ,diameter_mm,class,ignore\n'
        'a,1,2,3,4,cyst,0\na,5,6,7,-1,cyst,1\nb,8,9,0,4,,true\nc,0,0,0,4,,\n'
    )
    excluded.write_text('seriesuid,coordX,coordY,coordZ,diameter_mm\nd,0,0,0,-1\n')
    truth = read_truth(path)
    assert truth.lesions.scan_ids == ('a', 'c') and truth.lesions.classes == ('cyst', '')
    assert truth.ignored.scan_ids == ('a', 'b') and truth.ignored.diameters.tolist() == [-1, 4]
    assert truth.without_lesions == {'b'} and truth.named == {*'abc'}
    assert not truth.unannotated_among('abcx')
    truth = read_truth(path, excluded)
    assert truth.ignored.scan_ids == ('d', 'a', 'b')
    assert truth.ignored.centers.tolist() == [[0, 0, 0], [5, 6, 7], [8, 9, 0]]
    path.write_text(path.read_text().replace('true', 'maybe'))
    with pytest.raises(ValueError, match="a.csv, line 4: ignore must be 0 or 1, found 'maybe'"):
        read_truth(path)


REVIEW = 'seriesuid,coordX,coordY,coordZ,sizeX,sizeY,sizeZ,class,ignore,review,probability\n'


@pytest.mark.tried('annotations', 'scoring: a review saved from a report', 'read as for training')
def test_a_review_as_a_report_saves_it(tmp_path, capsys):
    """Its sizes tell the diameter; a scan that it does not name was not looked at."""
    path = tmp_path / 'review.csv'
    path.write_text(
        f'{REVIEW}a,1,2,3,2,4,8,nodule,0,accepted,0.9\na,5,6,7,4,4,4,nodule,0,rejected,0.8\n'
        'a,7,7,7,4,4,4,nodule,1,open,0.7\nb,,,,,,,,0,no lesion,\n'
        'c,1,1,1,4,4,4,nodule,0,rejected,0.5\n'
    )
    truth = read_truth(path)
    assert truth.lesions.scan_ids == ('a',) and truth.lesions.centers.tolist() == [[1, 2, 3]]
    assert truth.lesions.diameters.tolist() == pytest.approx([4])
    assert truth.ignored.centers.tolist() == [[7, 7, 7]] and truth.named == {*'abc'}
    assert scans_to_score([*'abcd'], truth) == [*'abc']
    assert 'review.csv: 1 of the 4 scans are not annotated' in capsys.readouterr().out
    lesions = read_annotations(path, ['nodule'])  # the converters', of the same file
    assert {scan for scan, found in lesions.items() if found} == {'a'}
    assert [lesion['ignore'] for lesion in lesions['a']] == [False, True]


@pytest.mark.parametrize(
    ('rows', 'message'),
    [
        ('a,1,2,3,2,0,8,,0,accepted,', r'line 2: a lesion must have a positive size in mm'),
        ('a,1,2,3,2,,8,,0,accepted,', "line 2: sizeY must be a finite number, found ''"),
        ('a,1,2,3,2,2,2,,0,reject,', 'line 2: review must be one of .*, rejected, .*'),
        ('a,,,,,,,,0,no lesion,\na,1,2,3,2,2,2,,0,added,', 'line 3: has a finding of scan a'),
    ],
)
@pytest.mark.parametrize('read', [read_truth, read_findings])
def test_unclear_reviews_are_refused(tmp_path, read, rows, message):
    (tmp_path / 'review.csv').write_text(f'{REVIEW}{rows}\n')
    with pytest.raises(ValueError, match=f'review.csv, {message}'):
        read(tmp_path / 'review.csv')


def test_scans_that_nobody_annotated_are_not_scored(tmp_path, capsys):
    path = tmp_path / 'index.json'
    write_scans(path, dict(a=[], b=[], c=[]), 'bc')
    truth = read_truth(path)
    assert scans_to_score(['c', 'a', 'b', 'elsewhere', 'b'], truth) == ['a', 'elsewhere']
    assert f'{path}: 2 of the 4 scans are not annotated' in capsys.readouterr().out
    assert scans_to_score(['a'], truth) == ['a'] and not capsys.readouterr().out
    with pytest.raises(UsageError, match='index.json: none of the 2 scans is annotated there'):
        scans_to_score(['b', 'c'], truth)
