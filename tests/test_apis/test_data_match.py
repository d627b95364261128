"""Data that are not like those a detector was trained on."""

import pytest

from mmdet3d_medical.apis.data_match import mismatches

META = dict(spacing=[2.0, 1.0, 1.0], settings=dict(crop='lungs'), classes=['nodule'])


def scan(*spacing, annotated=True):
    """A scan with its own spacing (z, y, x)."""
    return dict(geometry=dict(spacing=list(spacing[::-1])), annotated=annotated)


def index(**changes):
    return META | dict(scans=[scan(2, 1, 1)]) | changes


@pytest.mark.parametrize(
    'meta, data',
    [
        (META, index()),
        (META, index(spacing=[2.03, 0.985, 1.0])),
        (META, index(spacing=None, scans=[scan(1.97, 1, 1), scan(2.03, 1, 1.01)])),
        (META, index(spacing=None, scans=[])),
        (META | dict(spacing=None), index(spacing=[4.0] * 3)),
        (META | dict(spacing=['wide', 1, 1]), index(spacing=[4.0] * 3)),
        (META | dict(spacing=[0, 1, 1]), index(spacing=[4.0] * 3)),
        (META | dict(settings={}), index(settings=dict(crop='none'))),
        (META, index(settings={})),
        (META | dict(settings=3, classes=7), index(classes=['mass'])),
        (META | dict(classes=[]), index(classes=['mass'])),
        (META, index(classes=['lesion'], scans=[scan(2, 1, 1, annotated=False)])),
        ({}, index()),
    ],
)
def test_what_is_the_same_or_not_known_is_no_difference(meta, data):
    assert mismatches(meta, data) == []


@pytest.mark.parametrize(
    'data, told',
    [
        (index(spacing=[4.0, 1, 1]), 'voxels have 4 x 1 x 1 mm (z, y, x)'),
        (index(spacing=[2.0, 1, 1.03]), 'voxels have 2 x 1 x 1.03 mm'),
        (index(spacing=[2.0, 0.97, 1]), 'trained on 2 x 1 x 1 mm'),
        (index(spacing=[1.0, 1, 2]), '--spacing 2 1 1'),
        (
            index(spacing=None, scans=[scan(1.5, 1, 1), scan(2, 1, 1), scan(2, 0.7, 1)]),
            'voxels have 1.5 x 0.7 x 1 to 2 x 1 x 1 mm',
        ),
        (index(spacing=None, scans=[scan(5, 1, 1)]), 'voxels have 5 x 1 x 1 mm'),
        (index(settings=dict(crop='none')), 'with --crop none, but'),
        (index(classes=['mass']), 'classes are mass, but those of the detector nodule'),
    ],
)
def test_what_differs_is_told_once(data, told):
    (message,) = mismatches(META, data)
    assert told in message


def test_the_order_of_classes_counts_and_all_differences_are_told():
    meta = META | dict(classes=['mass', 'nodule'])
    data = index(spacing=[4, 4, 4], settings=dict(crop='none'), classes=['nodule', 'mass'])
    assert [message.partition(' ')[0] for message in mismatches(meta, data)] == [
        'voxels',
        'scans',
        'classes',
    ]
