"""Views of patches, boxes and priors."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet3d_medical.models.detectors.views import (
    PriorPermutations,
    RandomViews,
    View,
    match_rows,
)
from mmdet3d_medical.models.task_modules import Anchor3DGenerator

FLIPS = [axes for n in range(4) for axes in itertools.combinations(range(3), n)]
ALL = [View(order, flips) for order in itertools.permutations(range(3)) for flips in FLIPS]


def priors_of(shape, strides, sizes, offset=0.5) -> torch.Tensor:
    anchors = Anchor3DGenerator(strides, sizes, center_offset=offset)
    return torch.cat(anchors.grid_priors(anchors.featmap_sizes(shape)))


def test_a_view_by_hand():
    volume = torch.arange(6.0).reshape(1, 1, 1, 2, 3)
    # The new axes are (x, y, z), then x, now the first, is mirrored.
    seen = View((2, 1, 0), (0,)).apply(volume)
    assert seen[0, 0, ..., 0].tolist() == [[2, 5], [1, 4], [0, 3]]
    assert str(View((2, 1, 0), (0,))) == 'axes zyx -> xyz, then mirrored z'
    assert str(View()) == 'identity'


@pytest.mark.parametrize('view', ALL, ids=str)
def test_boxes_move_with_voxels_and_back(view):
    shape, box = (5, 6, 7), torch.tensor([[1.0, 0, 2, 4, 2, 7]])
    volume = torch.zeros(1, 1, *shape)
    volume[0, 0, 1:4, 0:2, 2:7] = 1
    seen = view.apply(volume)
    marked = seen[0, 0].nonzero()
    around = torch.cat([marked.min(0).values, marked.max(0).values + 1])
    moved = view.apply_to_boxes(box, shape)
    assert moved[0].tolist() == around.tolist()
    assert torch.equal(view.inverse().apply(seen), volume)
    assert torch.equal(view.inverse().apply_to_boxes(moved, seen.shape[2:]), box)


def test_intensity_changes_the_image_only():
    batch = torch.rand(2, 3, 2, 2, 2)
    before = batch.clone()
    seen = View(scale=2.0, shift=0.5).apply(batch, num_channels=2)
    torch.testing.assert_close(seen[:, :2], 2 * before[:, :2] + 0.5)
    assert torch.equal(seen[:, 2:], before[:, 2:]) and torch.equal(batch, before)
    assert torch.equal(View(scale=2.0).apply(batch), 2 * batch)
    assert View(flips=(1,), scale=2.0).inverse() == View(flips=(1,))


CLOSED = [
    # shape, strides, sizes of each level
    ((8, 8, 8), [2, 4], [[3, 5], [6.3, 8.1]]),
    ((8, 8, 16), [(2, 2, 4)], [[(3, 3, 7.7)]]),
    ((4, 8, 8), [(1, 2, 2), (2, 4, 4)], [[(2, 4, 6.1), (2, 6.1, 4)], [(3, 8, 9), (3, 9, 8)]]),
]


@pytest.mark.parametrize('shape, strides, sizes', CLOSED)
def test_permutations_against_all_pairs(shape, strides, sizes):
    priors = priors_of(shape, strides, sizes)
    permutations = PriorPermutations()
    views = RandomViews(num=48).draw(np.random.default_rng(0), shape, priors)
    for view in views:
        index = permutations.of(view, priors, shape)
        assert index.sort().values.tolist() == list(range(len(priors)))
        distance = torch.cdist(view.apply_to_boxes(priors, shape), priors, p=float('inf'))
        assert torch.equal(index, distance.argmin(dim=1))
        assert distance.amin(dim=1).max() < 1e-4
    found = dict(permutations._found)
    permutations.of(views[0], priors, shape)
    assert all(permutations._found[key] is index for key, index in found.items())
    assert len(permutations._found) == len(found) <= 6 + 3


@pytest.mark.parametrize(
    'shape, strides, sizes, offset, view',
    [
        ((8, 8, 8), [2], [[3]], 0.0, View(flips=(0,))),  # anchors at the corners of cells
        ((9, 8, 8), [2], [[3]], 0.5, View(flips=(0,))),  # cells that hang over the end
        ((8, 8, 8), [2], [[(3, 3, 5)]], 0.5, View((0, 2, 1))),  # no anchor is long along y
    ],
)
def test_prior_sets_that_are_not_closed(shape, strides, sizes, offset, view):
    priors = priors_of(shape, strides, sizes, offset)
    with pytest.raises(ValueError, match=f'the prior set is not closed under this view: {view}'):
        PriorPermutations().of(view, priors, shape)


def orders(shape, strides, spacings=(), **cfg) -> set:
    priors = priors_of(shape, strides, [[4]] * len(strides))
    views = RandomViews(num=48, **cfg).draw(np.random.default_rng(0), shape, priors, spacings)
    return {view.order for view in views}


def test_only_axes_that_are_alike_are_exchanged():
    all_orders = set(itertools.permutations(range(3)))
    z_stays = {(0, 1, 2), (0, 2, 1)}
    assert orders((8, 8, 8), [2, 4]) == all_orders
    assert orders((4, 8, 8), [2]) == z_stays  # patch
    assert orders((8, 8, 8), [(1, 2, 2)]) == z_stays  # stride
    assert orders((8, 8, 8), [2, (4, 2, 2)]) == z_stays  # stride of one level
    assert orders((8, 8, 8), [2], [(2.0, 1, 1), (1.0, 1, 1)]) == z_stays  # spacing of a patch
    assert orders((8, 8, 8), [2], [(2.0, 2, 2), (1.0, 1, 1)]) == all_orders
    assert orders((8, 8, 8), [2], permute_axes=(0, 2)) == {(0, 1, 2), (2, 1, 0)}
    assert orders((8, 8, 8), [2], permute_axes=()) == {(0, 1, 2)}


def test_all_views_in_a_fixed_order():
    shape = (8, 8, 8)
    views = RandomViews().all(shape, priors_of(shape, [2], [[4]]))
    assert views[0] == View() and len(set(views)) == 48
    few = RandomViews(flip_axes=(2, 1), permute_axes=()).all(shape, priors_of(shape, [2], [[4]]))
    assert few == [View(), View(flips=(2,)), View(flips=(1,)), View(flips=(2, 1))]


def test_views_differ_as_long_as_there_are_others():
    shape = (8, 8, 8)
    priors = priors_of(shape, [2], [[4]])

    def draw(num, seed, **cfg):
        return RandomViews(num, **cfg).draw(np.random.default_rng(seed), shape, priors)

    assert len(set(draw(48, 0))) == 48
    assert len(set(draw(4, 0))) == 4
    assert draw(4, 0) == draw(4, 0) != draw(4, 1)
    few = draw(5, 0, flip_axes=(2,), permute_axes=())
    assert sorted(few.count(view) for view in set(few)) == [2, 3]
    bright = draw(3, 0, scale_range=(0.9, 1.1), shift_range=(-0.1, 0.1))
    assert len({view.scale for view in bright}) == 3
    assert all(0.9 <= view.scale <= 1.1 and abs(view.shift) <= 0.1 for view in bright)


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
@settings(deadline=None, max_examples=30)
def test_rows_are_matched_up_to_rounding(seed, number):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 4, (number, 6)) / 8 + 0.0005  # on the border of what rounds up and down
    order = rng.permutation(number)
    index = match_rows(rows, (rows + rng.uniform(-1e-6, 1e-6, rows.shape))[order])
    assert sorted(index) == list(range(number))
    np.testing.assert_array_equal(rows[order][index], rows)
    other = rows.copy()
    other[0, 0] += 10
    assert match_rows(rows, other) is None


@pytest.mark.parametrize(
    'settings', [dict(num=0), dict(flip_axes=(3,)), dict(scale_range=(2, 1)), dict(per_forward=0)]
)
def test_impossible_settings(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        RandomViews(**settings)
