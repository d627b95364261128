"""Coding of boxes as distances to their faces."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet3d_medical.models.task_modules import DistanceBox3DCoder


def cells_and_boxes(seed: int, number: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    """Cells of different strides, and boxes that hold their centers."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low, high):
        values = torch.rand(number, 3, generator=generator, dtype=torch.float64)
        return low + (high - low) * values

    center, half = uniform(-20, 80), uniform(0.5, 8)
    boxes = torch.cat([center - uniform(0.2, 30), center + uniform(0.2, 30)], dim=1)
    return torch.cat([center - half, center + half], dim=1), boxes


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=20)
def test_decoding_inverts_encoding(seed):
    cells, boxes = cells_and_boxes(seed)
    coder = DistanceBox3DCoder(max_ratio=100)
    torch.testing.assert_close(coder.decode(cells, coder.encode(cells, boxes)), boxes)


def test_hand_worked_deltas():
    # A cell of strides (2, 4, 4) with its center at (1, 2, 2): one, two, a quarter stride to the
    # low faces, two, a half, one to the high ones.
    cell = torch.tensor([[0.0, 0, 0, 2, 4, 4]])
    box = torch.tensor([[-1.0, -6, 1, 5, 4, 6]])
    expected = [[0, math.log(2), -math.log(4), math.log(2), -math.log(2), 0]]
    torch.testing.assert_close(DistanceBox3DCoder().encode(cell, box), torch.tensor(expected))


def test_mirroring_exchanges_the_distances():
    cells, boxes = cells_and_boxes(0)
    coder = DistanceBox3DCoder()
    mirror = [3, 4, 5, 0, 1, 2]
    mirrored = coder.encode(-cells[:, mirror], -boxes[:, mirror])
    torch.testing.assert_close(mirrored, coder.encode(cells, boxes)[:, mirror])


def test_any_prediction_is_a_finite_box_around_the_center():
    cell = torch.tensor([[2.0, 2, 2, 4, 4, 4]])
    for value, side in ((1000.0, 40.0), (-1000.0, 0.4)):
        box = DistanceBox3DCoder(max_ratio=10).decode(cell, torch.full((1, 6), value))
        torch.testing.assert_close(box[0, 3:] - box[0, :3], torch.full((3,), side))
        torch.testing.assert_close(box[0, 3:] + box[0, :3], torch.full((3,), 6.0))


def test_a_box_beside_the_center_is_stretched_to_it():
    cell = torch.tensor([[0.0, 0, 0, 4, 4, 4]])
    coder = DistanceBox3DCoder(max_ratio=64)
    box = coder.decode(cell, coder.encode(cell, torch.tensor([[2.5, 1, 1, 4, 3, 3]])))
    torch.testing.assert_close(box, torch.tensor([[2 - 4 / 64, 1, 1, 4, 3, 3]]))


def test_no_boxes_and_nonsense():
    coder = DistanceBox3DCoder()
    assert coder.encode(torch.zeros(0, 6), torch.zeros(0, 6)).shape == (0, 6)
    assert coder.decode(torch.zeros(0, 6), torch.zeros(0, 6)).shape == (0, 6)
    with pytest.raises(ValueError, match='max_ratio must be > 1, found 1'):
        DistanceBox3DCoder(max_ratio=1)
