import pytest

from mmdet3d_medical.datasets import write_index
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


def test_scans_that_nobody_annotated_are_not_scored(tmp_path, capsys):
    path = tmp_path / 'index.json'
    write_scans(path, dict(a=[], b=[], c=[]), 'bc')
    truth = read_truth(path)
    assert scans_to_score(['c', 'a', 'b', 'elsewhere', 'b'], truth) == ['a', 'elsewhere']
    assert f'{path}: 2 of the 4 scans are not annotated' in capsys.readouterr().out
    assert scans_to_score(['a'], truth) == ['a'] and not capsys.readouterr().out
    with pytest.raises(UsageError, match='index.json: none of the 2 scans is annotated there'):
        scans_to_score(['b', 'c'], truth)
