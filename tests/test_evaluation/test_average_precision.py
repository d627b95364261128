import numpy as np
import pytest

from mmdet3d_medical.evaluation.functional.average_precision import (
    IOU_THRESHOLDS,
    ScanBoxes,
    average_precision,
)

NONE = np.zeros((0, 6))


def cube(x, side=10):
    return [0, 0, x, 10, 10, x + side]


def scan(predicted, truth, ignored=()):
    """A scan from [(box, score)], [box], [box]."""
    boxes = np.array([box for box, _ in predicted], float).reshape(-1, 6)
    scores = np.array([score for _, score in predicted], float)
    return ScanBoxes(boxes, scores, *(np.array(b, float).reshape(-1, 6) for b in (truth, ignored)))


def test_thresholds_are_those_of_nndetection():
    np.testing.assert_allclose(IOU_THRESHOLDS, [0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5])


def test_perfect_and_empty():
    truth = [cube(0), cube(50)]
    perfect = scan([(box, 0.5) for box in truth], truth)
    assert average_precision([perfect]).tolist() == [1] * 9
    assert average_precision([scan([], truth)]).tolist() == [0] * 9
    assert np.isnan(average_precision([scan([(cube(0), 1)], [])])).all()
    assert np.isnan(average_precision([])).all()


def test_precision_between_recalls_by_hand():
    # Hit, false, hit, for 3 lesions: precision 1 up to recall 1/3, 2/3 up to 2/3, then 0.
    # Of the recalls 0, .01, ..., 34 are <= 1/3, 33 more are <= 2/3.
    found = scan([(cube(0), 0.9), (cube(200), 0.8), (cube(50), 0.7)], [cube(0), cube(50), cube(99)])
    expected = (34 + 33 * 2 / 3) / 101
    assert average_precision([found], [0.5])[0] == pytest.approx(expected)


def test_iou_must_reach_the_threshold():
    # 10 x 10 x 10 against 10 x 10 x 5 inside: IoU is 0.5 exactly.
    half = scan([(cube(0, side=5), 0.9)], [cube(0)])
    assert average_precision([half], [0.5, 0.51]).tolist() == [1, 0]


def test_a_threshold_that_is_not_a_binary_fraction_is_reached():
    tenth = scan([(cube(0, side=1), 0.9)], [cube(0)])  # IoU 0.1
    assert average_precision([tenth], [0.1])[0] == 1


def test_a_lesion_is_found_once():
    # The second box on the same lesion is a false positive that comes before the next hit.
    twice = scan([(cube(0), 0.9), (cube(1), 0.8), (cube(50), 0.7)], [cube(0), cube(50)])
    # Precision 1 up to recall 1/2 (51 recalls), then 2/3 (50 recalls).
    assert average_precision([twice], [0.5])[0] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_box_takes_the_free_lesion_it_overlaps_most():
    close = scan([(cube(4), 0.9), (cube(0), 0.8)], [cube(0), cube(5)])
    assert average_precision([close], [0.4])[0] == 1


def test_a_box_on_an_ignored_lesion_is_neither():
    boxes = [(cube(100), 0.9), (cube(0), 0.8)]
    dropped = scan(boxes, [cube(0)], [cube(100)])
    assert average_precision([dropped], [0.5])[0] == 1
    assert average_precision([scan(boxes, [cube(0)])], [0.5])[0] == pytest.approx(0.5)


def test_lesions_come_before_ignored_ones():
    both = scan([(cube(0), 0.9)], [cube(0)], [cube(0)])
    assert average_precision([both]).tolist() == [1] * 9


def test_ranking_is_over_all_scans_and_the_limit_in_each():
    scans = [scan([(cube(0), 0.3)], [cube(0)]), scan([(cube(0), 0.9), (cube(70), 0.8)], [])]
    # Two false positives before the only hit.
    assert average_precision(scans, [0.5])[0] == pytest.approx(1 / 3)
    assert average_precision(scans, [0.5], max_boxes=1)[0] == pytest.approx(1 / 2)
