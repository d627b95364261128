"""Coding of boxes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet3d_medical.models.task_modules import DeltaBox3DCoder


def boxes_from(seed: int, number: int = 20) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(number, 3, generator=generator, dtype=torch.float64) * 100 - 20
    size = torch.rand(number, 3, generator=generator, dtype=torch.float64) * 30 + 0.5
    return torch.cat([low, low + size], dim=1)


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=20)
def test_decoding_inverts_encoding(seed):
    anchors, boxes = boxes_from(seed), boxes_from(seed + 1)
    coder = DeltaBox3DCoder(means=[0.1] * 6, stds=[0.1, 0.1, 0.2, 0.2, 0.3, 0.3], max_ratio=100)
    torch.testing.assert_close(coder.decode(anchors, coder.encode(anchors, boxes)), boxes)


def test_hand_worked_deltas():
    # Anchor of side 4 at 2, 2, 2; box of size 8 x 4 x 2 whose center lies 1 voxel further in x.
    anchor = torch.tensor([[0.0, 0, 0, 4, 4, 4]])
    box = torch.tensor([[-2.0, 0, 2, 6, 4, 4]])
    expected = [[0, 0, 0.25, 0.693147, 0, -0.693147]]
    torch.testing.assert_close(DeltaBox3DCoder().encode(anchor, box), torch.tensor(expected))


def test_wild_predictions_stay_finite():
    decoded = DeltaBox3DCoder(max_ratio=10).decode(
        torch.tensor([[0.0, 0, 0, 2, 2, 2]]), torch.full((1, 6), 1000.0)
    )
    assert torch.isfinite(decoded).all()
    torch.testing.assert_close(decoded[0, 3:] - decoded[0, :3], torch.full((3,), 20.0))
    tiny = DeltaBox3DCoder(max_ratio=10).decode(
        torch.tensor([[0.0, 0, 0, 2, 2, 2]]), torch.tensor([[0.0, 0, 0, -1000, -1000, -1000]])
    )
    torch.testing.assert_close(tiny[0, 3:] - tiny[0, :3], torch.full((3,), 0.2))


def test_no_boxes():
    coder = DeltaBox3DCoder()
    assert coder.encode(torch.zeros(0, 6), torch.zeros(0, 6)).shape == (0, 6)
    assert coder.decode(torch.zeros(0, 6), torch.zeros(0, 6)).shape == (0, 6)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match='stds > 0'):
        DeltaBox3DCoder(stds=[0.0] * 6)
