"""Guessed targets against lesions, by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet3d_medical.datasets import write_index
from mmdet3d_medical.datasets.transforms.crop import RandomResizedCrop3D
from mmdet3d_medical.datasets.transforms.spatial import flip, permute
from mmdet3d_medical.engine.hooks.guess_quality import (
    Counts,
    KnownLesions,
    carry_boxes,
    count_guesses,
)
from mmdet3d_medical.structures import VolumeGeometry

TURNED = (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1)
GEOMETRY = VolumeGeometry((5.0, -3.0, 100.0), (0.7, 0.7, 2.0), TURNED, (20, 30, 30))


@given(
    st.integers(0, 2**32 - 1),
    st.sets(st.integers(0, 2)),
    st.permutations([0, 1, 2]),
)
@settings(deadline=None, max_examples=30)
def test_boxes_follow_the_transforms_of_a_pipeline(seed, axes, order):
    """Crops, resizing, mirroring and exchanging axes keep boxes of their own, another way."""
    boxes = np.array([[2.0, 3, 4, 6, 8, 10], [10, 0, 5, 11, 9, 9]], np.float32)
    results = dict(
        volume=np.zeros((1, *GEOMETRY.shape), np.int16),
        geometry=GEOMETRY,
        gt_bboxes=boxes,
        gt_bboxes_labels=np.zeros(2, np.int64),
        gt_ignore_flags=np.zeros(2, bool),
        rng=np.random.default_rng(seed),
    )
    size = (24, 40, 40)  # holds the whole volume: no lesion is lost
    results = RandomResizedCrop3D(size, scale_range=(1.0, 1.2), lesion_prob=0)(results)
    results = permute(flip(results, sorted(axes)), order)
    moved = carry_boxes(boxes, GEOMETRY, results['geometry'])
    np.testing.assert_allclose(moved, results['gt_bboxes'], atol=1e-3)


def test_no_boxes_to_carry():
    assert carry_boxes(np.zeros((0, 6), np.float32), GEOMETRY, GEOMETRY).shape == (0, 6)


PRIORS = torch.tensor(
    [
        [0.0, 0, 0, 4, 4, 4],
        [4.0, 0, 0, 8, 4, 4],
        [4.0, 0, 0, 8, 4, 5],  # overlaps the one before
        [8.0, 8, 8, 12, 12, 12],
        [20.0, 20, 20, 24, 24, 24],
    ]
)
NOTHING = torch.zeros(0, 6)


def counts(targets, lesions=NOTHING, neutral=NOTHING) -> Counts:
    lesions, neutral = (
        torch.as_tensor(boxes).float().reshape(-1, 6) for boxes in (lesions, neutral)
    )
    return count_guesses(torch.tensor(targets)[:, None], PRIORS, lesions, neutral)


def test_counts_by_hand():
    lesion, other = [1.0, 1, 1, 4, 4, 4], [8.0, 8, 8, 12, 12, 12]
    # The first prior is on the first lesion (27 / 64); the second and third are one wrong guess.
    guesses = [0.9, 0.6, 0.7, 0.49, 0.1]
    assert counts(guesses, [lesion, other]) == Counts(found=1, lesions=2, right=1, guesses=2)
    assert counts([0.5] * 5, [lesion, other]) == Counts(2, 2, 2, 4)
    assert counts([0.4] * 5, [lesion]) == Counts(0, 1, 0, 0)
    assert counts(guesses) == Counts(0, 0, 0, 2)
    assert counts([0.0] * 5) == Counts(0, 0, 0, 0)


def test_what_is_on_a_lesion():
    only_first = [0.9, 0, 0, 0, 0]
    # 1 x 1 x 4 of 4^3 in a lesion of 4^3: IoU 4 / 124, and no center in it
    assert counts(only_first, [3.0, 3, 0, 7, 7, 4]).found == 0
    # IoU 64 / 1000 only, but the prior's center is in it: cells in a large lesion
    assert counts(only_first, [0.0, 0, 0, 10, 10, 10]).found == 1
    # 2 x 4 x 4 in both: IoU 1 / 3, its center on the border, which is half-open
    assert counts(only_first, [2.0, 0, 0, 6, 4, 4]) == Counts(1, 1, 1, 1)


def test_neutral_findings_count_neither_way():
    guesses, finding = [0.9, 0, 0, 0.9, 0], [0.0, 0, 0, 4, 4, 4]
    assert counts(guesses, neutral=[finding]) == Counts(0, 0, 0, 1)
    assert counts(guesses, [finding], [finding]) == Counts(1, 1, 1, 2)


@pytest.fixture
def index(tmp_path):
    """One annotated scan with a lesion, an ignored twin of it and an ignored finding."""
    centers = [
        GEOMETRY.index_to_world(np.array([place]))[0].tolist()
        for place in ([4.5, 9.5, 9.5], [15.5, 20.5, 20.5])
    ]
    instances = [
        dict(center=centers[0], size=[4.0, 2.8, 1.4], diameter=3.0),
        dict(center=centers[0], diameter=3.0, ignore=True),
        dict(center=centers[1], diameter=7.0, ignore=True),
    ]
    shared = dict(geometry=GEOMETRY.to_dict(), volume='volumes/x.npy')
    write_index(
        tmp_path / 'index.json',
        dict(
            classes=['nodule'],
            spacing=None,
            settings={},
            scans=[
                dict(scan_id='a', annotated=True, instances=instances, **shared),
                dict(scan_id='b', annotated=False, instances=[], **shared),
            ],
        ),
    )
    return str(tmp_path / 'index.json')


def test_lesions_are_looked_up_by_scan_and_place(index):
    known = KnownLesions(index)
    patch = GEOMETRY.cropped((2, 3, 4), (16, 16, 16)).flipped([2]).permuted((0, 2, 1))
    lesions, neutral = known.in_patch(dict(scan_id='a', geometry=patch))
    # In the scan 2 x 4 x 2 voxels around (5, 10, 10). Cut: (3, 7, 6). Mirrored: x is 10.
    torch.testing.assert_close(lesions, torch.tensor([[2.0, 9, 5, 4, 11, 9]]), atol=1e-4, rtol=0)
    assert neutral.shape == (1, 6)
    outside = GEOMETRY.cropped((5, 0, 0), (8, 16, 16))  # the lesion's center is on its border
    assert len(known.in_patch(dict(scan_id='a', geometry=outside))[0]) == 1
    outside = GEOMETRY.cropped((6, 0, 0), (8, 16, 16))
    lesions, neutral = known.in_patch(dict(scan_id='a', geometry=outside))
    assert len(lesions) == 0 and len(neutral) == 2
    assert known.in_patch(dict(scan_id='b', geometry=patch)) is None
    assert known.in_patch(dict(scan_id='elsewhere', geometry=patch)) is None
