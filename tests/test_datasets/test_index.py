"""The JSON index: round trip, completion, and errors that name the scan."""

import copy
import json
import os
import runpy
import time
from pathlib import Path

import pytest

from mmdet3d_medical.datasets import index as module
from mmdet3d_medical.datasets.index import (
    complete_instance,
    open_index,
    read_index,
    write_index,
)
from mmdet3d_medical.utils import json_stream

GEOMETRY = dict(
    origin=[0, 0, 0], spacing=[1, 1, 1], direction=[1, 0, 0, 0, 1, 0, 0, 0, 1], shape=[4, 5, 6]
)


def make_index():
    scan = dict(
        volume='volumes/b.npy',
        geometry=GEOMETRY,
        annotated=True,
        subset=3,
        instances=[dict(center=[1, 2, 3], diameter=4.0)],
    )
    return dict(
        classes=['nodule'],
        spacing=None,
        settings={},
        scans=[dict(scan, scan_id='b'), dict(scan, scan_id='00783', instances=[])],
    )


def test_round_trip_sorts_scans_and_keeps_ids_as_strings(tmp_path):
    write_index(tmp_path / 'index.json', make_index())
    index = read_index(tmp_path / 'index.json')
    assert [scan['scan_id'] for scan in index['scans']] == ['00783', 'b']
    assert index['scans'][1]['geometry'] == GEOMETRY
    assert [path.name for path in tmp_path.iterdir()] == ['index.json']


def test_instances_are_completed():
    by_diameter = complete_instance(dict(center=[0, 0, 0], diameter=4.0))
    assert by_diameter == dict(
        center=[0, 0, 0], diameter=4.0, size=[4.0] * 3, label=0, ignore=False
    )
    by_box = complete_instance(dict(center=[0, 0, 0], size=[2.0, 4.0, 8.0], label=1, ignore=True))
    assert by_box['diameter'] == pytest.approx(4.0)
    assert by_box['label'] == 1 and by_box['ignore']


def set_scan(**values):
    return lambda index: index['scans'][0].update(values)


def set_instance(**values):
    return lambda index: index['scans'][0]['instances'][0].update(values)


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda index: index.update(format='other'), 'not an index of volumes'),
        (lambda index: index.update(version=7), 'version 7'),
        (lambda index: index.update(classes='nodule'), '"classes": a list of names'),
        (set_scan(scan_id=783), 'non-empty string, found 783'),
        (set_scan(scan_id='00783'), '00783.*appears twice'),
        (set_scan(volume=None), r'\(b\) needs "volume"'),
        (set_scan(annotated='yes'), r'\(b\) needs "annotated"'),
        (set_scan(instances={}), r'\(b\) needs "instances"'),
        (set_instance(center=[1, 2]), r'\(b\).*"center"'),
        (set_instance(center=[1, 2, float('nan')]), r'\(b\).*"center"'),
        (set_instance(diameter=0), '"diameter": a positive number'),
        (set_instance(diameter=None), '"size" or "diameter"'),
        (set_instance(size=[1, 2, 0]), 'three positive extents'),
        (set_instance(label=1), 'label 1 is none of the 1 classes'),
        (set_instance(label='nodule'), '"label".* found \'nodule\''),
    ],
)
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
    with pytest.raises(FileNotFoundError, match='make one with mmdet3d-medical convert-luna16'):
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


@pytest.mark.tried(
    'index',
    '"ignore": "false", a label of true, a number of 400 digits',
    'error with file, scan and key',
)
@pytest.mark.tried(
    'index', 'a key that is not known, a scan that is no object', 'error with file, scan and key'
)
@pytest.mark.parametrize(
    'change, message',
    [
        (
            set_instance(ignore='false'),
            r'scan 0 \(b\), instance 0 needs "ignore": true .*\'false\'',
        ),
        (set_instance(ignore=1), 'instance 0 needs "ignore"'),
        (set_instance(label=True), 'instance 0 needs "label": .* found True'),
        (set_instance(label=-1), 'instance 0 needs "label": .* found -1'),
        (set_instance(diameter=True), 'instance 0 needs "diameter": .* found True'),
        (set_instance(center=[1, 2, 10**400]), 'instance 0 needs "center": .* found 1000'),
        (set_instance(ignored=True), r'scan 0 \(b\), instance 0 has an unknown key "ignored"'),
        (set_scan(anotated=True), r'scan 0 \(b\) has an unknown key "anotated"'),
        (
            set_scan(geometry=dict(GEOMETRY, spacing=[1, 1, -1])),
            'needs "spacing": three .* found -1',
        ),
        (set_scan(geometry=dict(GEOMETRY, shape=[1, 2, 3.5])), 'needs "shape": .* found 3.5'),
        (set_scan(geometry=dict(GEOMETRY, direction=[0] * 9)), 'scan b: direction must'),
        (set_scan(geometry=dict(spacing=[1, 1, 1])), 'needs "origin": .* found nothing'),
        (set_scan(patient=7), r'scan 0 \(b\) needs "patient": .* found 7'),
        (set_scan(subset=True), 'needs "subset": .* found True'),
        (set_scan(scan_id='a\nb'), r'scan 0 needs "scan_id": .* no name'),
        (set_scan(scan_id='../../x'), 'scan 0 needs "scan_id": .* holds /'),
        (set_scan(instances=[3]), r'scan 0 \(b\), instance 0 must be an object, found 3'),
        (lambda index: index['scans'].append('c'), 'scan 2 must be an object'),
        (lambda index: index.update(classes=['']), 'the index needs "classes": a list of names'),
        (lambda index: index.update(scans={}), 'the index needs "scans": a list'),
        (lambda index: index.update(spacing='native'), 'the index needs "spacing"'),
        (lambda index: index.update(classes=['a', 'a']), 'the class a appears twice'),
        (lambda index: index.pop('scans'), 'the index needs "scans": .* found nothing'),
    ],
)
def test_index_is_read_strictly(tmp_path, change, message):
    index = dict(make_index(), format='mmdet3d_medical/volumes', version=1)
    change(broken := copy.deepcopy(index))
    (tmp_path / 'bad.json').write_text(json.dumps(broken))
    with pytest.raises(ValueError, match=f'bad.json: .*{message}') as error:
        read_index(tmp_path / 'bad.json')
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(ValueError) as again:
        open_index(tmp_path / 'bad.json')
    assert str(again.value) == str(error.value)


@pytest.mark.tried(
    'index', 'binary, UTF-16, cut off, nested 100,000 deep, a key twice', 'error with the file'
)
@pytest.mark.parametrize(
    'content, message',
    [
        (b'\x89PNG\r\n\x1a\n', 'not valid JSON'),
        (json.dumps(make_index()).encode('utf-16'), 'not valid JSON'),
        (b'', 'not valid JSON'),
        (b'{"format": ', 'not valid JSON'),
        (b'[' * 100_000 + b']' * 100_000, 'nested too deeply'),
        (b'9' * 5000, 'not valid JSON'),
        (b'[]', 'not an index'),
        (b'null', 'not an index'),
        (b'{"format": "a", "format": "b"}', 'the key "format" is there twice'),
    ],
)
def test_files_that_are_no_index(tmp_path, content, message):
    (tmp_path / 'bad.json').write_bytes(content)
    with pytest.raises(ValueError, match=f'bad.json.*{message}'):
        read_index(tmp_path / 'bad.json')


def test_patients_and_free_settings_are_kept(tmp_path):
    index = make_index()
    index['scans'][0]['patient'] = 'p1'
    index['settings'] = dict(anything=[dict(goes=(1, None))])
    write_index(tmp_path / 'index.json', index)
    again = read_index(tmp_path / 'index.json')
    assert again['scans'][1]['patient'] == 'p1' and 'patient' not in again['scans'][0]
    assert again['settings'] == dict(anything=[dict(goes=[1, None])])


def whole_index(**changes):
    return dict(make_index(), format='mmdet3d_medical/volumes', version=1) | changes


@pytest.mark.parametrize('chunk', [1, 50, 1 << 20])
@pytest.mark.parametrize('first', ['scans', 'version'])
@pytest.mark.parametrize('indent', [None, 1])
def test_layout_and_order_of_keys_do_not_matter(tmp_path, monkeypatch, chunk, first, indent):
    monkeypatch.setattr(json_stream, 'CHUNK', chunk)
    content = whole_index()
    text = json.dumps({first: content[first]} | content, indent=indent)
    (tmp_path / 'index.json').write_text(f'\ufeff{text}', encoding='utf-8')
    index = read_index(tmp_path / 'index.json')
    lesion = dict(center=[1, 2, 3], diameter=4.0, size=[4.0] * 3, label=0, ignore=False)
    content['scans'][0]['instances'] = [lesion]
    assert index == content
    packed = open_index(tmp_path / 'index.json')
    assert {**packed, 'scans': list(packed['scans'])} == content


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(format='other', scans=[3]), 'is not an index of volumes'),
        (dict(version=2, scans=[dict(id='a')]), 'has version 2'),
        (dict(classes='nodule', scans=[3]), 'the index needs "classes"'),
        (dict(scans=[3, 4]), 'scan 0 must be an object'),
    ],
)
def test_what_tells_most_is_told_first(tmp_path, changes, message):
    """What is wrong with scans does not matter where the file is another one."""
    content = whole_index(**changes)
    for text in (json.dumps(content), json.dumps({'scans': content['scans']} | content)):
        (tmp_path / 'bad.json').write_text(text)
        with pytest.raises(ValueError, match=f'bad.json:? {message}'):
            read_index(tmp_path / 'bad.json')


def test_places_in_broken_json_are_those_in_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, 'CHUNK', 50)
    text = json.dumps(whole_index(), indent=1)
    place = text.index('"00783"')
    (tmp_path / 'bad.json').write_text(text[:place] + '?' + text[place + 1 :])
    line = text.count('\n', 0, place) + 1
    with pytest.raises(ValueError, match=rf'not valid JSON \(.*line {line} .*\(char {place}\)'):
        read_index(tmp_path / 'bad.json')


@pytest.fixture
def reads(monkeypatch):
    """Files that have been read."""
    found = []

    def read_object(file, *args):
        found.append(file.name)
        return json_stream.read_object(file, *args)

    monkeypatch.setattr(module, 'read_object', read_object)
    module._pack.cache_clear()
    return found


def write_at(path, volume, when):
    path.write_text(json.dumps(whole_index(scans=[dict(make_index()['scans'][0], volume=volume)])))
    os.utime(path, ns=(when, when))


def test_an_index_is_read_again_only_if_it_changes(tmp_path, reads):
    path, year = tmp_path / 'index.json', 365 * 24 * 3600 * 10**9
    write_at(path, 'a.npy', year)
    first, second = open_index(path), open_index(str(path))
    assert first['scans'] is second['scans'] and len(reads) == 1
    first['classes'] = []
    assert open_index(path)['classes'] == ['nodule']
    write_at(path, 'b.npy', 2 * year)
    assert open_index(path)['scans'][0]['volume'] == 'b.npy' and len(reads) == 2
    path.unlink()
    with pytest.raises(FileNotFoundError):
        open_index(path)


def test_a_file_just_written_is_not_taken_for_settled(tmp_path, reads):
    """It may change again without a later time or another size."""
    path, soon = tmp_path / 'index.json', time.time_ns() + 3600 * 10**9
    for volume in ('a.npy', 'b.npy'):
        write_at(path, volume, soon)
        assert open_index(path)['scans'][0]['volume'] == volume
    assert len(reads) == 2


def test_the_published_schema_is_that_of_the_code():
    tool = runpy.run_path(str(Path(__file__).parents[2] / 'docs/make_index_schema.py'))
    page = tool['PAGE'].read_text(encoding='utf-8')
    assert page == tool['schema_text'](), 'run python docs/make_index_schema.py'
