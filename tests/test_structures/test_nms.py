import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet3d_medical.structures import batched_nms3d, box_iou3d, nms, nms3d


def greedy(boxes, scores, threshold):
    """The definition, one pair at a time, in plain Python."""
    ious = box_iou3d(boxes, boxes).tolist()
    order = sorted(range(len(scores)), key=lambda i: (-scores[i].item(), i))
    kept = []
    for candidate in order:
        if all(ious[better][candidate] <= threshold for better in kept):
            kept.append(candidate)
    return kept


def make_boxes(rng, n, centers, extent=60):
    """``n`` boxes, uniformly scattered or, with ``centers`` > 0, gathered around so many points."""
    middle = rng.uniform(0, extent, (n, 3))
    if centers:
        middle = middle[rng.integers(0, min(centers, n), n)] + rng.normal(0, 2, (n, 3))
    size = rng.uniform(2, 14, (n, 3))
    boxes = torch.tensor(np.hstack([middle - size / 2, middle + size / 2]), dtype=torch.float32)
    scores = torch.tensor(rng.integers(0, 50, n) / 50, dtype=torch.float32)  # with ties
    return boxes, scores


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 250),
    centers=st.sampled_from([0, 1, 5]),
    threshold=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_equals_the_definition(seed, n, centers, threshold):
    boxes, scores = make_boxes(np.random.default_rng(seed), n, centers)
    assert nms3d(boxes, scores, threshold).tolist() == greedy(boxes, scores, threshold)


@pytest.mark.parametrize('centers', [0, 20])
def test_spatial_pruning_changes_nothing(centers):
    # Enough boxes for several blocks and for the comparison by neighborhoods.
    boxes, scores = make_boxes(np.random.default_rng(0), 2500, centers, extent=150)
    keep = nms3d(boxes, scores, 0.2)
    assert keep.tolist() == greedy(boxes, scores, 0.2)
    assert 20 < len(keep) < 2500


@pytest.mark.parametrize('centers', [0, 4])
def test_pruning_in_many_small_parts_changes_nothing(monkeypatch, centers):
    monkeypatch.setattr(nms, '_DENSE', 1)
    monkeypatch.setattr(nms, '_CHUNK', 64)
    monkeypatch.setattr(nms, '_GROUP', 4)
    boxes, scores = make_boxes(np.random.default_rng(4), 400, centers)
    assert nms.nms3d(boxes, scores, 0.1).tolist() == greedy(boxes, scores, 0.1)


def test_one_huge_box_among_small_ones():
    boxes, scores = make_boxes(np.random.default_rng(1), 1500, 0, extent=120)
    boxes[700] = torch.tensor([-500.0, -500, -500, 500, 500, 500])
    assert nms3d(boxes, scores, 0.0).tolist() == greedy(boxes, scores, 0.0)


def test_threshold_is_strict():
    boxes = torch.tensor([[0.0, 0, 0, 2, 2, 2], [0, 0, 0, 2, 2, 1]])  # IoU is exactly 0.5
    scores = torch.tensor([0.9, 0.8])
    assert nms3d(boxes, scores, 0.5).tolist() == [0, 1]
    assert nms3d(boxes, scores, 0.49).tolist() == [0]


def test_a_suppressed_box_suppresses_nothing():
    chain = torch.tensor([[float(i), 0, 0, i + 2.0, 2, 2] for i in range(0, 300)])
    scores = torch.linspace(1, 0, 300)
    assert nms3d(chain, scores, 0.3).tolist() == list(range(0, 300, 2))


def test_ties_keep_the_lower_index_first():
    boxes = torch.tensor([[0.0, 0, 0, 4, 4, 4]] * 3 + [[9.0, 9, 9, 12, 12, 12]])
    assert nms3d(boxes, torch.ones(4), 0.5).tolist() == [0, 3]


def test_flat_boxes_survive():
    boxes = torch.tensor([[1.0, 1, 1, 1, 4, 4]] * 2 + [[0.0, 0, 0, 4, 4, 4]])
    assert nms3d(boxes, torch.tensor([0.3, 0.2, 0.9]), 0.0).tolist() == [2, 0, 1]


def test_infinite_scores_are_ordered():
    boxes = torch.tensor([[0.0, 0, 0, 4, 4, 4]] * 2)
    assert nms3d(boxes, torch.tensor([0.5, torch.inf]), 0.5).tolist() == [1]


def test_empty():
    keep = nms3d(torch.zeros(0, 6), torch.zeros(0), 0.5)
    assert keep.shape == (0,) and keep.dtype == torch.int64
    empty_labels = torch.zeros(0, dtype=torch.int64)
    assert batched_nms3d(torch.zeros(0, 6), torch.zeros(0), empty_labels, 0.5).shape == (0,)


@pytest.mark.parametrize(
    ('boxes', 'scores', 'threshold', 'message'),
    [
        (torch.zeros(2, 6), torch.tensor([0.1, torch.nan]), 0.5, '1 of 2 boxes have a NaN score'),
        (torch.full((2, 6), torch.inf), torch.zeros(2), 0.5, '2 of 2 boxes'),
        (torch.zeros(2, 4), torch.zeros(2), 0.5, r'expected \(N, 6\)'),
        (torch.zeros(2, 6), torch.zeros(3), 0.5, r'expected \(2,\)'),
        (torch.zeros(2, 6), torch.zeros(2), 1.5, r'in \[0, 1\]'),
    ],
)
def test_bad_input_is_refused(boxes, scores, threshold, message):
    with pytest.raises(ValueError, match=message):
        nms3d(boxes, scores, threshold)


def test_batched_treats_each_class_alone():
    boxes, scores = make_boxes(np.random.default_rng(2), 200, 3)
    labels = torch.tensor(np.random.default_rng(3).integers(0, 3, 200))
    keep = batched_nms3d(boxes, scores, labels, 0.2)
    for label in range(3):
        members = (labels == label).nonzero()[:, 0]
        expected = members[nms3d(boxes[members], scores[members], 0.2)]
        assert keep[labels[keep] == label].tolist() == expected.tolist()
    pairs = list(zip(scores[keep].tolist(), keep.tolist(), strict=True))
    assert pairs == sorted(pairs, key=lambda pair: (-pair[0], pair[1]))


def test_batched_refuses_labels_of_another_length():
    with pytest.raises(ValueError, match='one label per score'):
        batched_nms3d(torch.zeros(2, 6), torch.zeros(2), torch.zeros(3), 0.5)
