"""The JSON index: round trip, completion, and errors that name the scan."""
import copy
import json

import pytest

from mmdet3d_medical.datasets.index import complete_instance, read_index, write_index

GEOMETRY = dict(origin=[0, 0, 0], spacing=[1, 1, 1], direction=[1, 0, 0, 0, 1, 0, 0, 0, 1],
                shape=[4, 5, 6])


def make_index():
    scan = dict(volume='volumes/b.npy', geometry=GEOMETRY, annotated=True, subset=3,
                instances=[dict(center=[1, 2, 3], diameter=4.0)])
    return dict(classes=['nodule'], spacing=None, settings={},
                scans=[dict(scan, scan_id='b'), dict(scan, scan_id='00783', instances=[])])


def test_round_trip_sorts_scans_and_keeps_ids_as_strings(tmp_path):
    write_index(tmp_path / 'index.json', make_index())
    index = read_index(tmp_path / 'index.json')
    assert [scan['scan_id'] for scan in index['scans']] == ['00783', 'b']
    assert index['scans'][1]['geometry'] == GEOMETRY
    assert [path.name for path in tmp_path.iterdir()] == ['index.json']


def test_instances_are_completed():
    by_diameter = complete_instance(dict(center=[0, 0, 0], diameter=4.0))
    assert by_diameter == dict(center=[0, 0, 0], diameter=4.0, size=[4.0] * 3, label=0,
                               ignore=False)
    by_box = complete_instance(dict(center=[0, 0, 0], size=[2.0, 4.0, 8.0], label=1, ignore=True))
    assert by_box['diameter'] == pytest.approx(4.0)
    assert by_box['label'] == 1 and by_box['ignore']


def set_scan(**values):
    return lambda index: index['scans'][0].update(values)


def set_instance(**values):
    return lambda index: index['scans'][0]['instances'][0].update(values)


@pytest.mark.parametrize('change, message', [
    (lambda index: index.update(format='other'), 'not an index of volumes'),
    (lambda index: index.update(version=7), 'version 7'),
    (lambda index: index.update(classes='nodule'), 'list "classes"'),
    (set_scan(scan_id=783), 'non-empty string, found 783'),
    (set_scan(scan_id='00783'), '00783.*appears twice'),
    (set_scan(volume=None), r'\(b\) needs "volume"'),
    (set_scan(annotated='yes'), r'\(b\) needs "annotated"'),
    (set_scan(instances={}), r'\(b\) needs "instances"'),
    (set_instance(center=[1, 2]), r'\(b\).*"center"'),
    (set_instance(center=[1, 2, float('nan')]), r'\(b\).*"center"'),
    (set_instance(diameter=0), '"diameter" must be positive'),
    (set_instance(diameter=None), '"size" or "diameter"'),
    (set_instance(size=[1, 2, 0]), 'three positive extents'),
    (set_instance(label=1), 'label 1 is none of the 1 classes'),
    (set_instance(label='nodule'), "label 'nodule'")])
def test_broken_index_is_refused_with_the_scan_named(tmp_path, change, message):
    write_index(tmp_path / 'good.json', make_index())
    index = dict(make_index(), format='mmdet3d_medical/volumes', version=1)
    broken = copy.deepcopy(index)
    change(broken)
    (tmp_path / 'bad.json').write_text(json.dumps(broken))
    with pytest.raises(ValueError, match=f'bad.json.*{message}'):
        read_index(tmp_path / 'bad.json')
    assert len(read_index(tmp_path / 'good.json')['scans']) == 2


def test_missing_and_cut_off_files_say_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match='dataset_converters'):
        read_index(tmp_path / 'index.json')
    (tmp_path / 'index.json').write_text('{"format": ')
    with pytest.raises(ValueError, match='not valid JSON'):
        read_index(tmp_path / 'index.json')


def test_wrong_index_is_not_written(tmp_path):
    index = make_index()
    index['scans'][0]['instances'][0]['center'] = None
    with pytest.raises(ValueError, match='"center"'):
        write_index(tmp_path / 'index.json', index)
    assert not list(tmp_path.iterdir())
