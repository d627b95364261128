import math

import numpy as np
import pytest

from mmdet3d_medical.evaluation.marks import Marks
from mmdet3d_medical.evaluation.merging import merge_marks


def marks_of(*rows):
    """Marks (scan, x, score, diameter) on the x axis."""
    return Marks.from_rows((s, (x, -5, 7), score, d, '') for s, x, score, d in rows)


def test_marks_of_two_models_by_hand():
    first = marks_of(('a', 10, 0.8, 4), ('a', 50, 0.9, 6), ('001', 0, 0.4, 5))
    second = marks_of(('a', 10, 0.6, 4))
    merged = merge_marks([first, second], 'wbc', 0.1, 100)
    assert merged.scan_ids == ('a', 'a', '001')
    # On 10 mm both agree, the others are known to one of two.
    assert merged.scores.tolist() == pytest.approx([0.7, 0.45, 0.2])
    assert merged.centers.round(9).tolist() == [[10, -5, 7], [50, -5, 7], [0, -5, 7]]
    assert merged.diameters.round(9).tolist() == [4, 6, 5]
    best = merge_marks([first, second], 'nms', 0.1, 1)
    assert best.scores.tolist() == [0.9, 0.4]


def test_boxes_are_merged_where_all_marks_state_them():
    tables = [
        Marks.from_rows([('a', (0, 0, 0), 0.5, 4, '', size)]) for size in ((2, 4, 6), (2, 4, 6))
    ]
    merged = merge_marks(tables, 'wbc', 0.1, 100)
    assert merged.sizes.round(9).tolist() == [[2, 4, 6]] and merged.diameters.round(9) == [4]
    # They overlap by 2 x 4 x 6 of 320 + 48 - 48 mm^3 (0.15); cubes of 4 mm, 5 mm apart, do not.
    high = Marks.from_rows([('a', (0, 0, 5), 0.4, 4, '', (4, 4, 20))])
    assert len(merge_marks([tables[0], high], 'nms', 0.1, 100).scores) == 1
    cubes = [marks_of(('a', 0, 0.5, 4)), Marks.from_rows([('a', (0, -5, 12), 0.4, 4, '')])]
    merged = merge_marks(cubes, 'nms', 0.1, 100)
    assert len(merged.scores) == 2 and np.isnan(merged.sizes).all()


def test_nobody_found_anything():
    assert merge_marks([marks_of(), marks_of()], 'wbc', 0.1, 100).scan_ids == ()


@pytest.mark.parametrize(
    'row, message',
    [
        (('b', 0, 0.5, math.nan), '2 of 2: a mark in scan b has no diameter'),
        (('b', 0, 3.5, 4), r'2 of 2: expected probabilities in \[0, 1\], found 3.5'),
    ],
)
def test_what_cannot_be_merged(row, message):
    with pytest.raises(ValueError, match=message):
        merge_marks([marks_of(), marks_of(('a', 0, 0.5, 4), row)], 'wbc', 0.1, 100)
