"""Long lists item by item, against Python's reader of whole files."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet3d_medical.utils import json_stream
from mmdet3d_medical.utils.json_stream import read_object, unique_keys

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
OBJECT = '{"a": {"b": [1]},\n "items": [{"c": 12.5}, "x,]", [ ], 71 ] , "d" : -2e3}\n'


def read(text):
    """The object with the items that were taken in their list."""
    taken = []
    content = read_object(io.StringIO(text), 'items', taken.append)
    if isinstance(content.get('items'), list):
        assert content['items'] == []
        content['items'] = taken
    return content


def read_whole(text):
    content = json.loads(text, object_pairs_hook=unique_keys)
    if not isinstance(content, dict):
        raise ValueError('not an object')
    return content


@pytest.fixture(params=[1, 2, 7, 1 << 20])
def chunk(request, monkeypatch):
    monkeypatch.setattr(json_stream, 'CHUNK', request.param)


def test_items_are_taken_in_their_order(chunk):
    assert read(OBJECT) == {
        'a': {'b': [1]},
        'items': [{'c': 12.5}, 'x,]', [], 71],
        'd': -2000.0,
    }


def test_other_objects(chunk):
    assert read(' {} ') == {}
    assert read('{"items": []}') == {'items': []}
    assert read('{"items": {"items": [1]}}') == {'items': {'items': [1]}}
    assert read('{"other": {"items": [1]}}') == {'other': {'items': [1]}}


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text() | st.just('items'), VALUES), st.sampled_from([None, 1]))
def test_any_object_is_read_as_pythons_reader_does(content, indent):
    text = json.dumps(content, indent=indent)
    assert read(text) == json.loads(text)


@pytest.mark.parametrize('mark', ['', ',', ']', '}', ':', '"', ' ', '9', 'x', '\x00', '\n', '[{'])
def test_texts_are_refused_where_pythons_reader_refuses_them(monkeypatch, mark):
    """Each character of an object is left out or another one is put in its place."""
    monkeypatch.setattr(json_stream, 'CHUNK', 5)
    accepted = 0
    for place in range(len(OBJECT)):
        text = OBJECT[:place] + mark + OBJECT[place + 1 :]
        try:
            expected = read_whole(text)
        except ValueError:
            with pytest.raises(ValueError):
                read(text)
        else:
            assert read(text) == expected
            accepted += 1
    assert accepted < len(OBJECT)


def test_files_that_are_cut_off_are_refused(monkeypatch):
    monkeypatch.setattr(json_stream, 'CHUNK', 5)
    for length in range(len(OBJECT) - 1):
        with pytest.raises(ValueError):
            read(OBJECT[:length])


@pytest.mark.parametrize(
    'text, key',
    [
        ('{"items": [{"k": 1, "k": 2}]}', 'k'),
        ('{"items": [], "items": [1]}', 'items'),
        ('{"a": 1, "items": [], "a": 1}', 'a'),
    ],
)
def test_keys_that_are_there_twice(chunk, text, key):
    with pytest.raises(ValueError, match=f'the key "{key}" is there twice'):
        read(text)


@pytest.mark.parametrize('text', ['', '[]', 'null', '{} {}', '{1: 2}', '[' * 10])
def test_what_is_no_object(chunk, text):
    with pytest.raises(ValueError):
        read(text)
