"""Anchors against hand-worked lists."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet3d_medical.models.task_modules import Anchor3DGenerator


def test_cubes_and_blocks_on_anisotropic_cells():
    # Level of 1 x 2 x 1 cells with strides (1, 2, 4): centers (.5, 1, 2) and (.5, 3, 2).
    generator = Anchor3DGenerator(strides=[(1, 2, 4)], sizes=[[2, (1, 4, 6)]])
    expected = [
        [0.5 - 1, 1 - 1, 2 - 1, 0.5 + 1, 1 + 1, 2 + 1],  # cube of 2
        [0.5 - 0.5, 1 - 2, 2 - 3, 0.5 + 0.5, 1 + 2, 2 + 3],  # block 1 x 4 x 6
        [0.5 - 1, 3 - 1, 2 - 1, 0.5 + 1, 3 + 1, 2 + 1],
        [0.5 - 0.5, 3 - 2, 2 - 3, 0.5 + 0.5, 3 + 2, 2 + 3],
    ]
    assert generator.grid_priors([(1, 2, 1)])[0].tolist() == expected


def test_offset_zero_is_the_corner_of_the_cell():
    generator = Anchor3DGenerator(strides=[4], sizes=[[2]], center_offset=0)
    assert generator.grid_priors([(1, 1, 2)])[0].tolist() == [
        [-1, -1, -1, 1, 1, 1],
        [-1, -1, 3, 1, 1, 5],
    ]


def test_rounding_half_the_sides():
    # Halves 1.5, 2.5 and 3.5 become 2, 2 and 4, which is even; 2.25 becomes 2.
    generator = Anchor3DGenerator([4], [[(3, 5, 7), 4.5]], center_offset=0, round_halves=True)
    assert generator.grid_priors([(1, 1, 1)])[0].tolist() == [
        [-2, -2, -4, 2, 2, 4],
        [-2, -2, -2, 2, 2, 2],
    ]
    with pytest.raises(ValueError, match='leaves nothing'):
        Anchor3DGenerator([4], [[1]], round_halves=True)


def test_ratios_multiply_sizes():
    generator = Anchor3DGenerator([1], [[4]], ratios=[(1, 1, 1), (0.5, 1, 2)])
    assert generator.base_sizes[0].tolist() == [[4, 4, 4], [2, 4, 8]]
    assert generator.num_base_priors == [2]


def test_deeplungs_anchors():
    # DeepLung: stride 4, index centers 1.5 + 4 i, which is 2 + 4 i in box coordinates.
    priors = Anchor3DGenerator([4], [[5, 10, 20]]).grid_priors([(2, 2, 2)])[0]
    assert len(priors) == 8 * 3
    torch.testing.assert_close(
        (priors[:, 2] + priors[:, 5])[:6] / 2, torch.tensor([2.0, 2, 2, 6, 6, 6])
    )


@given(st.sets(st.integers(0, 2), min_size=1))
@settings(deadline=None, max_examples=10)
def test_flips_map_anchors_onto_anchors(axes):
    shape = (8, 16, 8)
    generator = Anchor3DGenerator([(2, 4, 2), (4, 8, 4)], [[3, (2, 5, 7)], [6, 9]])
    priors = torch.cat(generator.grid_priors(generator.featmap_sizes(shape)))
    flipped = priors.clone()
    for axis in axes:
        flipped[:, axis] = shape[axis] - priors[:, axis + 3]
        flipped[:, axis + 3] = shape[axis] - priors[:, axis]
    assert set(map(tuple, flipped.tolist())) == set(map(tuple, priors.tolist()))


def test_featmap_sizes_round_up():
    generator = Anchor3DGenerator([(1, 2, 4), (2, 4, 8)], [[1], [1]])
    assert generator.featmap_sizes((5, 5, 9)) == [(5, 3, 3), (3, 2, 2)]
    assert generator.max_stride == (2, 4, 8)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(strides=[2, 4], sizes=[[1]]), '2 strides but sizes for 1 levels'),
        (dict(strides=[2], sizes=[[0]]), 'sizes must be'),
        (dict(strides=[2], sizes=[[(1, 2)]]), 'sizes must be'),
        (dict(strides=[0], sizes=[[1]]), 'strides must be'),
        (dict(strides=[2], sizes=[[1]], center_offset=2), 'center_offset'),
    ],
)
def test_nonsense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Anchor3DGenerator(**arguments)


def test_wrong_number_of_maps_is_refused():
    with pytest.raises(ValueError, match='2 feature maps'):
        Anchor3DGenerator([2], [[1]]).grid_priors([(1, 1, 1), (1, 1, 1)])
