"""Recall by size and lists of mistakes."""

import dataclasses

import numpy as np
import pytest

from mmdet3d_medical.evaluation.functional import froc, recall_by_size, worst_mistakes
from mmdet3d_medical.evaluation.marks import Findings, Marks


def tables(marks, nodules):
    """Marks (scan, x, score) and nodules (scan, x, diameter), all on the x axis."""
    return (
        Marks.from_rows((s, (x, 0, 0), score, 5.0, '') for s, x, score in marks),
        Findings.from_rows((s, (x, 0, 0), diameter, '') for s, x, diameter in nodules),
    )


def test_sizes_by_hand():
    # Descending: .9 finds 4 mm, .8 is false, .7 finds 20 mm, .6 is false, .5 finds another 4 mm.
    marks, nodules = tables(
        [('a', 0, 0.9), ('a', 500, 0.8), ('b', 0, 0.7), ('b', 500, 0.6), ('b', 100, 0.5)],
        [('a', 0, 4), ('b', 0, 20), ('b', 100, 4), ('b', 200, 7), ('elsewhere', 0, 10)],
    )
    result = froc(['a', 'b'], marks, nodules, fp_rates=(0.25, 0.5, 1))
    sizes = recall_by_size(result, nodules)
    assert {name: (size.tp, size.nodules) for name, size in sizes.items()} == {
        '3-6': (2, 2),
        '6-8': (0, 1),
        '>15': (1, 1),
    }
    # One false positive is half a one per scan. Between 0 and 1/2 the first point is (0, 1/2)
    # for the small ones and (0, 0) for the large one, which the second mark leaves so.
    assert sizes['3-6'].sensitivity.tolist() == [0.5, 0.5, 1]
    assert sizes['>15'].sensitivity.tolist() == [0, 1, 1]
    assert sizes['>15'].cpm == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    'diameter, group',
    [
        (2.9, '<3'),
        (3, '3-6'),
        (6, '3-6'),
        (6.01, '6-8'),
        (8, '6-8'),
        (15, '8-15'),
        (15.1, '>15'),
        (-1, 'unknown'),
    ],
)
def test_ends_of_groups(diameter, group):
    marks, nodules = tables([], [('a', 0, diameter)])
    assert list(recall_by_size(froc(['a'], marks, nodules), nodules)) == [group]


def test_sizes_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    scans = [f'{number}' for number in range(20)]
    marks, nodules = tables(
        [(s, rng.uniform(0, 300), rng.integers(0, 20)) for s in rng.choice(scans, 300)],
        [
            (s, rng.uniform(0, 300), d)
            for s, d in zip(rng.choice(scans, 80), rng.uniform(2, 30, 80), strict=True)
        ],
    )
    result = froc(scans, marks, nodules)
    sizes = recall_by_size(result, nodules).values()
    assert sum(size.nodules for size in sizes) == 80
    assert sum(size.tp for size in sizes) == result.tp
    np.testing.assert_allclose(
        sum(size.sensitivity * size.nodules for size in sizes) / 80, result.sensitivity
    )
    mistakes = list(worst_mistakes(result, marks, nodules, most=10**6))
    false = [mistake for mistake in mistakes if mistake.kind == 'false positive']
    assert len(false) == result.fp
    assert sum(np.isnan(mistake.score) for mistake in mistakes) == result.fn


def test_mistakes_by_hand():
    # The second nodule is found after two false positives in one scan, beyond the highest rate.
    marks, nodules = tables(
        [('a', 0, 0.9), ('a', 500, 0.8), ('a', 600, 0.8), ('a', 100, 0.3)],
        [('a', 0, 5), ('a', 100, 6), ('a', 200, 4), ('a', 300, 12)],
    )
    result = froc(['a'], marks, nodules, fp_rates=(1,))
    found = [dataclasses.astuple(mistake) for mistake in worst_mistakes(result, marks, nodules)]
    assert [(kind, center[0], diameter) for kind, _, center, diameter, *_ in found] == [
        ('missed', 300, 12),
        ('missed', 100, 6),
        ('missed', 200, 4),
        ('false positive', 500, 5),
        ('false positive', 600, 5),
    ]
    assert found[1][4:] == (0.3, 2) and found[3][4:] == (0.8, 2)
    assert len(list(worst_mistakes(result, marks, nodules, most=1))) == 4


def test_nothing_to_find_and_nothing_found():
    marks, nodules = tables([], [])
    result = froc(['a'], marks, nodules)
    assert recall_by_size(result, nodules) == {}
    assert list(worst_mistakes(result, marks, nodules)) == []
    marks, nodules = tables([('a', 0, 1)], [])
    result = froc(['a'], marks, nodules)
    assert recall_by_size(result, nodules) == {}
    assert [mistake.kind for mistake in worst_mistakes(result, marks, nodules)] == [
        'false positive'
    ]
