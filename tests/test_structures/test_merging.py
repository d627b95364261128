import pytest
import torch

from mmdet3d_medical.structures import (
    batched_nms3d,
    box_iou3d,
    merge_boxes3d,
    weighted_box_clustering3d,
)


def cube(start, size=4.0):
    """A cube at (start, 0, 0)."""
    return [start, 0.0, 0.0, start + size, size, size]


def test_a_cluster_by_hand():
    # Volumes 64. The second, shifted by one of four, has IoU 3 / 5 with the best; the third is
    # apart from it. Three sources, so the first cluster misses one and the second two.
    boxes = torch.tensor([cube(0), cube(1), cube(20)])
    scores, sources = torch.tensor([0.8, 0.5, 0.6]), torch.tensor([0, 1, 1])
    merged, merged_scores = weighted_box_clustering3d(boxes, scores, sources, 0.1, 3)
    weights = (64.0, 64 * 0.6)
    total = sum(weights)
    first = (0.8 * weights[0] + 0.5 * weights[1]) / (total + total / 2)
    assert merged_scores.tolist() == pytest.approx([first, 0.6 / 3])
    shift = 0.5 * weights[1] / (0.8 * weights[0] + 0.5 * weights[1])
    torch.testing.assert_close(merged, torch.tensor([cube(shift), cube(20)]))


def test_a_larger_box_has_more_say():
    # Volumes 64 and 512, IoU 64 / 512 = 1 / 8: weights 64 and 512 / 8 = 64 are equal. Without the
    # volumes they would be 1 and 1 / 8.
    boxes, scores = torch.tensor([cube(0), cube(0, 8.0)]), torch.tensor([0.8, 0.4])
    merged, merged_scores = weighted_box_clustering3d(boxes, scores, torch.tensor([0, 1]), 0.1, 2)
    assert merged_scores.tolist() == pytest.approx([(0.8 + 0.4) / 2])
    side = (0.8 * 4 + 0.4 * 8) / (0.8 + 0.4)
    torch.testing.assert_close(merged, torch.tensor([cube(0, side)]))


def test_two_boxes_of_one_source_hide_no_missing_one():
    boxes, scores = torch.tensor([cube(0), cube(0)]), torch.tensor([0.8, 0.8])
    for sources, expected in (([0, 1], 0.8), ([1, 1], 0.8 * 2 / 3)):
        _, merged = weighted_box_clustering3d(boxes, scores, torch.tensor(sources), 0.1, 2)
        assert merged.tolist() == pytest.approx([expected])


def test_flat_boxes_and_scores_of_zero():
    boxes, scores = torch.tensor([cube(0, 0.0), cube(3)]), torch.tensor([0.9, 0.0])
    merged, scores = weighted_box_clustering3d(boxes, scores, torch.tensor([0, 0]), 0.1, 1)
    torch.testing.assert_close(merged, boxes)
    assert scores.tolist() == pytest.approx([0.9, 0])


def random_boxes(number, seed=0):
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(number, 3, generator=generator) * 30
    boxes = torch.cat([low, low + 2 + 6 * torch.rand(number, 3, generator=generator)], dim=1)
    return boxes, torch.rand(number, generator=generator), generator


def test_of_one_source_clustering_is_nms():
    boxes, scores, generator = random_boxes(200)
    labels = torch.randint(2, (200,), generator=generator)
    sources = torch.zeros_like(labels)
    expected = merge_boxes3d(boxes, scores, labels, sources, 1, 'nms', 0.1, 20)
    keep = batched_nms3d(boxes, scores, labels, 0.1)[:20]
    assert torch.equal(expected[0], boxes[keep]) and len(keep) == 20
    for found, wanted in zip(
        merge_boxes3d(boxes, scores, labels, sources, 1, 'wbc', 0.1, 20), expected, strict=True
    ):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize('method', ['nms', 'wbc'])
def test_sources_that_agree_say_what_each_says(method):
    boxes, scores, _ = random_boxes(100)
    keep = batched_nms3d(boxes, scores, torch.zeros(100), 0.1)
    boxes, scores = boxes[keep], scores[keep]
    labels = torch.zeros(3 * len(keep), dtype=torch.long)
    sources = torch.arange(3).repeat_interleave(len(keep))
    merged = merge_boxes3d(
        boxes.repeat(3, 1), scores.repeat(3), labels, sources, 3, method, 0.1, 1000
    )
    torch.testing.assert_close(merged[0], boxes)
    torch.testing.assert_close(merged[1], scores)
    assert merged[2].tolist() == [0] * len(keep)


def test_classes_are_merged_by_themselves():
    boxes, scores = torch.tensor([cube(0), cube(0)]), torch.tensor([0.4, 0.8])
    labels, sources = torch.tensor([0, 1]), torch.tensor([0, 1])
    merged, merged_scores, merged_labels = merge_boxes3d(
        boxes, scores, labels, sources, 2, 'wbc', 0.1, 100
    )
    assert merged_labels.tolist() == [1, 0]
    assert merged_scores.tolist() == pytest.approx([0.4, 0.2])
    assert box_iou3d(merged, boxes).min() == pytest.approx(1)


@pytest.mark.parametrize('method', ['nms', 'wbc'])
def test_nothing_found(method):
    none = torch.zeros(0, dtype=torch.long)
    merged = merge_boxes3d(torch.zeros(0, 6), torch.zeros(0), none, none, 2, method, 0.1, 100)
    assert [tuple(part.shape) for part in merged] == [(0, 6), (0,), (0,)]
