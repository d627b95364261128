"""Boxes as center and diameter."""

import math

import pytest
import torch

from mmdet3d_medical.models.task_modules import CubeBox3DCoder

ANCHOR = torch.tensor([[0.0, 0, 0, 10, 10, 10]])


def test_deltas_by_hand():
    # Center (7, 5, 4) from (5, 5, 5), diameter 20 from 10.
    box = torch.tensor([[-3.0, -5, -6, 17, 15, 14]])
    deltas = CubeBox3DCoder().encode(ANCHOR, box)
    torch.testing.assert_close(deltas, torch.tensor([[0.2, 0.0, -0.1, math.log(2)]]))
    torch.testing.assert_close(CubeBox3DCoder().decode(ANCHOR, deltas), box)


def test_a_box_keeps_its_volume_and_center():
    box = torch.tensor([[0.0, 0, 0, 2, 4, 8]])
    coder, slab = CubeBox3DCoder(), torch.tensor([[0.0, 0, 0, 1, 32, 32]])
    for anchor in (ANCHOR, slab):
        cube = coder.decode(anchor, coder.encode(anchor, box))
        torch.testing.assert_close(cube, torch.tensor([[-1.0, 0, 2, 3, 4, 6]]))


def test_untrained_networks_give_finite_boxes():
    box = CubeBox3DCoder(max_ratio=4).decode(ANCHOR, torch.tensor([[0.0, 0, 0, 1e4]]))
    torch.testing.assert_close(box[0, 3:] - box[0, :3], torch.full((3,), 40.0))
    with pytest.raises(ValueError, match='max_ratio'):
        CubeBox3DCoder(1)
