import pytest

from mmdet3d_medical.datasets import write_index
from mmdet3d_medical.evaluation.truth import read_truth

GEOMETRY = dict(
    origin=[0, 0, 0], spacing=[1, 1, 1], direction=[1, 0, 0, 0, 1, 0, 0, 0, 1], shape=[8, 8, 8]
)


@pytest.mark.parametrize('classes', [['nodule'], ['cyst', 'tumor']])
def test_lesions_of_an_index(tmp_path, classes):
    lesions = [
        dict(center=[1.0, 2.0, 3.0], size=[2.0, 4.0, 8.0], label=len(classes) - 1),
        dict(center=[4.0, 5.0, 6.0], diameter=7.0, ignore=True),
    ]
    scans = [
        dict(
            scan_id=name,
            volume='none.npy',
            geometry=GEOMETRY,
            annotated=name != 'c',
            instances=lesions if name == 'b' else [],
        )
        for name in 'abc'
    ]
    path = tmp_path / 'index.json'
    write_index(path, dict(classes=classes, spacing=None, settings={}, scans=scans))
    found, ignored = read_truth(path, None)
    assert (found.scan_ids, ignored.scan_ids) == (('b',), ('b',))
    assert found.centers.tolist() == [[1, 2, 3]] and ignored.centers.tolist() == [[4, 5, 6]]
    assert found.diameters.tolist() == pytest.approx([4]) and ignored.diameters.tolist() == [7]
    assert found.classes == (('tumor',) if len(classes) > 1 else ('',))
    (tmp_path / 'excluded.csv').write_text(
        'seriesuid,coordX,coordY,coordZ,diameter_mm\na,0,0,0,1\n'
    )
    assert read_truth(path, tmp_path / 'excluded.csv')[1].scan_ids == ('a',)
    found, ignored = read_truth(tmp_path / 'excluded.csv', None)
    assert found.scan_ids == ('a',) and not len(ignored.scan_ids)
