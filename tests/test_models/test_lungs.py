"""Detections far from the lungs."""

import numpy as np
import pytest
import torch

from mmdet3d_medical.models.detectors.lungs import lung_distance, near_lungs

SHAPE = (20, 40, 40)
# Two lungs of 12 x 16 x 12 voxels of 4 mm (147 ml each), a bowel of 27 voxels (2 ml), air around.
LUNGS = [np.s_[4:16, 12:28, 5:17], np.s_[4:16, 12:28, 23:35]]


@pytest.fixture
def air():
    body = np.zeros(SHAPE, bool)
    body[:, :2] = body[:, -2:] = body[:, :, :2] = body[:, :, -2:] = True
    for lung in LUNGS:
        body[lung] = True
    body[1:4, 5:8, 18:21] = True
    return body


def test_distance_by_hand(air):
    distance = lung_distance(air, (4.0, 4.0, 4.0))
    assert all((distance[lung] == 0).all() for lung in LUNGS)
    assert distance[10, 20, 19] == pytest.approx(12)  # three voxels right of x = 16
    assert distance[18, 20, 10] == pytest.approx(12)  # three below z = 15
    assert distance[0, 0, 0] > 40  # the air around is no lung
    assert distance[2, 6, 19] > 10  # nor is the bowel
    assert lung_distance(air, (8.0, 4.0, 4.0))[18, 20, 10] == pytest.approx(24)


@pytest.mark.parametrize('what', ['nothing', 'cut through'])
def test_no_lungs(what, air):
    if what == 'nothing':
        air[:, 3:-3, 3:-3] = False
    else:
        air = air[:, 20:]  # they reach the side: a part of a chest
    assert lung_distance(air, (4.0, 4.0, 4.0)) is None


def test_boxes_near_lungs(air):
    """Voxels of 2 mm, of which every other is looked at."""
    volume = torch.from_numpy(np.where(air, -1.0, 0.5)).float()
    volume = volume.repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2)[None]
    centers = torch.tensor([[20, 40, 20], [20, 40, 39], [37, 40, 20], [1, 1, 1]]).float()
    boxes = torch.cat([centers - 3, centers + 3], 1)

    def near(margin, scan=volume):
        return near_lungs(boxes, scan, -0.3, (2.0, 2.0, 2.0), margin).tolist()

    # Boxes of 6 voxels have a radius of 6 mm, and two centers lie 12 mm from a lung.
    assert near(0) == [True, False, False, False]
    assert near(5) == [True, False, False, False]
    assert near(6) == [True, True, True, False]
    wide = torch.cat([centers - 6, centers + 6], 1)  # 12 mm: they reach the lungs
    assert near_lungs(wide, volume, -0.3, (2.0, 2.0, 2.0), 0.0).tolist() == [True] * 3 + [False]
    assert near(0, torch.full_like(volume, 0.5)) == [True] * 4  # no lungs to compare with
    assert near_lungs(boxes[:0], volume, -0.3, (2.0, 2.0, 2.0), 5).shape == (0,)
