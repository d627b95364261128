import numpy as np
import pytest
import torch

from mmdet3d_medical.structures import (
    aligned_box_giou3d,
    aligned_box_iou3d,
    box_giou3d,
    box_iou3d,
    box_volume3d,
    centers_sizes_to_corners,
    clip_boxes3d,
    corners_to_centers_sizes,
)

CUBE = [0.0, 0, 0, 2, 2, 2]
# (other box, IoU with CUBE, GIoU with CUBE), worked out by hand.
PAIRS = [
    (CUBE, 1, 1),
    ([1.0, 0, 0, 3, 2, 2], 4 / 12, 4 / 12),  # half shared; the hull 3 * 2 * 2 is the union
    ([1.0, 1, 1, 3, 3, 3], 1 / 15, 1 / 15 - 12 / 27),  # corner: union 15, hull 27
    ([2.0, 0, 0, 4, 2, 2], 0, 0),  # touching faces share nothing; the hull 16 is the union
    ([4.0, 0, 0, 6, 2, 2], 0, -8 / 24),  # a gap of 8 in a hull of 24
    ([0.5, 0.5, 0.5, 1, 1, 1], 1 / 64, 1 / 64),  # inside
    ([1.0, 0, 0, 1, 2, 2], 0, 0),  # flat, inside
    ([2.0, 2, 2, 0, 0, 0], 0, 0),  # inverted: counts as flat
]
OTHERS = torch.tensor([other for other, _, _ in PAIRS])


def random_boxes(n, seed, extent=20):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, extent, (n, 3))
    return torch.tensor(np.hstack([low, low + rng.uniform(1, 10, (n, 3))]))


def iou_of_two(a, b):
    sides = [min(a[i + 3], b[i + 3]) - max(a[i], b[i]) for i in range(3)]
    inter = float(np.prod(sides)) if min(sides) > 0 else 0.0
    volumes = [np.prod([box[i + 3] - box[i] for i in range(3)]) for box in (a, b)]
    return inter / (sum(volumes) - inter)


def test_volume_of_hand_made_boxes():
    boxes = torch.tensor([[0.0, 0, 0, 1, 2, 3], [1, 1, 1, 1, 5, 5], [2, 2, 2, 0, 0, 4]])
    assert box_volume3d(boxes).tolist() == [6, 0, 0]


def test_hand_worked_pairs():
    cube = torch.tensor([CUBE])
    ious, gious = torch.tensor([(iou, giou) for _, iou, giou in PAIRS]).T
    torch.testing.assert_close(box_iou3d(cube, OTHERS), ious[None])
    torch.testing.assert_close(box_giou3d(cube, OTHERS), gious[None])
    torch.testing.assert_close(aligned_box_iou3d(cube.expand(len(PAIRS), 6), OTHERS), ious)
    torch.testing.assert_close(aligned_box_giou3d(cube.expand(len(PAIRS), 6), OTHERS), gious)


def test_two_flat_boxes_overlap_nothing():
    flat = torch.tensor([[1.0, 1, 1, 1, 4, 4]])
    assert box_iou3d(flat, flat).item() == 0
    assert torch.isfinite(box_giou3d(flat, flat)).all()


def test_iou_of_many_boxes_equals_scalar_arithmetic():
    # 300 x 300 pairs take several passes of the row-wise computation.
    a, b = random_boxes(300, 0), random_boxes(300, 1)
    expected = [[iou_of_two(p, q) for q in b.tolist()] for p in a.tolist()]
    torch.testing.assert_close(box_iou3d(a, b), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize('overlap', [box_iou3d, box_giou3d])
def test_pairwise_is_symmetric_and_has_aligned_as_diagonal(overlap):
    aligned = {box_iou3d: aligned_box_iou3d, box_giou3d: aligned_box_giou3d}[overlap]
    a, b = random_boxes(40, 2), random_boxes(40, 3)
    torch.testing.assert_close(overlap(a, b), overlap(b, a).T)
    torch.testing.assert_close(overlap(a, b).diagonal(), aligned(a, b))


@pytest.mark.parametrize('overlap', [box_iou3d, box_giou3d, aligned_box_iou3d, aligned_box_giou3d])
def test_gradients(overlap):
    a, b = random_boxes(4, 4, 6).requires_grad_(), random_boxes(4, 5, 6).requires_grad_()
    assert torch.autograd.gradcheck(overlap, (a, b))


def test_gradients_of_flat_boxes_are_finite():
    flat = torch.tensor([[1.0, 1, 1, 1, 4, 4]], requires_grad=True)
    aligned_box_giou3d(flat, flat.detach()).sum().backward()
    assert torch.isfinite(flat.grad).all()


def test_half_precision_does_not_overflow():
    boxes = torch.tensor([[0.0, 0, 0, 64, 64, 64], [0, 0, 0, 64, 64, 32]]).half()
    assert box_iou3d(boxes, boxes).tolist() == [[1, 0.5], [0.5, 1]]


def test_empty_inputs():
    none, some = torch.zeros(0, 6), OTHERS
    assert box_iou3d(none, some).shape == (0, len(some))
    assert box_giou3d(some, none).shape == (len(some), 0)
    assert aligned_box_iou3d(none, none).shape == (0,)
    assert box_volume3d(none).shape == (0,)
    assert clip_boxes3d(none, (4, 4, 4)).shape == (0, 6)


@pytest.mark.parametrize('shape', [(6,), (2, 4), (0,)])
def test_wrong_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r'expected \(N, 6\)'):
        box_iou3d(torch.zeros(shape), OTHERS)


def test_clip_uses_each_axis_own_length():
    boxes = torch.tensor([[-1.0, -2, 3, 9, 9, 9], [7, 8, 9, 9, 9, 12]])
    clipped = clip_boxes3d(boxes, (4, 5, 6))
    assert clipped.tolist() == [[0, 0, 3, 4, 5, 6], [4, 5, 6, 4, 5, 6]]
    assert box_volume3d(clipped).tolist() == [60, 0]


def test_centers_and_sizes_round_trip():
    boxes = torch.tensor([[0.0, 1, 2, 4, 7, 10]])
    centers, sizes = corners_to_centers_sizes(boxes)
    assert centers.tolist() == [[2, 4, 6]]
    assert sizes.tolist() == [[4, 6, 8]]
    assert torch.equal(centers_sizes_to_corners(centers, sizes), boxes)
