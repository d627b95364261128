"""VolumeGeometry against SimpleITK and hand-worked numbers."""

import math

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.structures.geometry import IDENTITY, check_direction

settings.register_profile('geometry', deadline=None, max_examples=30)
settings.load_profile('geometry')


@st.composite
def geometries(draw):
    """Anisotropic volumes, rotated by any angles, some of them mirrored."""
    angles = draw(st.tuples(*[st.floats(-180, 180)] * 3))
    direction = Rotation.from_euler('xyz', angles, degrees=True).as_matrix()
    direction = direction * np.array(draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)))
    return VolumeGeometry(
        origin=draw(st.tuples(*[st.floats(-500, 500)] * 3)),
        spacing=draw(st.tuples(*[st.floats(0.4, 5)] * 3)),
        direction=tuple(direction.ravel()),
        shape=draw(st.tuples(*[st.integers(2, 9)] * 3)),
    )


def image_of(geometry: VolumeGeometry) -> sitk.Image:
    image = sitk.Image(geometry.shape[::-1], sitk.sitkInt16)
    image.SetOrigin(geometry.origin)
    image.SetSpacing(geometry.spacing)
    image.SetDirection(geometry.direction)
    return image


def corners(geometry: VolumeGeometry) -> np.ndarray:
    return np.indices((2, 2, 2)).reshape(3, -1).T * (np.array(geometry.shape) - 1)


@given(geometries())
def test_index_to_world_agrees_with_simpleitk(geometry):
    image = image_of(geometry)
    index = corners(geometry)
    expected = [image.TransformIndexToPhysicalPoint(row[::-1].tolist()) for row in index]
    np.testing.assert_allclose(geometry.index_to_world(index), expected, atol=1e-6)
    assert VolumeGeometry.from_sitk(image) == geometry


@given(geometries())
def test_world_to_index_inverts(geometry):
    index = np.random.default_rng(0).uniform(-5, 20, (10, 3))
    np.testing.assert_allclose(
        geometry.world_to_index(geometry.index_to_world(index)), index, atol=1e-6
    )


def test_one_voxel_lesion_has_its_center_at_the_voxel_center():
    # Voxel (z, y, x) = (2, 1, 3) of spacing 2.5 x 1 x 0.5 mm; its box is [2, 3) x [1, 2) x [3, 4).
    geometry = VolumeGeometry((10, 20, 30), (0.5, 1.0, 2.5), IDENTITY, (4, 4, 4))
    centers, sizes = geometry.box_to_world(np.array([[2, 1, 3, 3, 2, 4]]))
    np.testing.assert_allclose(centers, [[10 + 3 * 0.5, 20 + 1, 30 + 2 * 2.5]])
    np.testing.assert_allclose(sizes, [[2.5, 1.0, 0.5]])
    np.testing.assert_allclose(geometry.world_to_box(centers, sizes), [[2, 1, 3, 3, 2, 4]])


def test_a_sphere_becomes_a_box_of_its_diameter():
    geometry = VolumeGeometry((0, 0, 0), (1.0, 1.0, 2.0), IDENTITY, (8, 8, 8))
    box = geometry.world_to_box(np.array([[3.0, 3.0, 6.0]]), np.array([4.0]))
    np.testing.assert_allclose(box, [[2.5, 1.5, 1.5, 4.5, 5.5, 5.5]])


@given(geometries(), st.sets(st.integers(0, 2)), st.permutations([0, 1, 2]))
def test_a_voxel_stays_where_it_is_in_the_world(geometry, axes, order):
    """Crop, flip and permute an array of its own world positions: each still tells the truth."""
    grid = np.indices(geometry.shape).reshape(3, -1).T
    world = geometry.index_to_world(grid).reshape(*geometry.shape, 3)
    start, shape = (1, 0, 1), tuple(np.array(geometry.shape) - 1)
    array = world[1:, : shape[1], 1:]
    moved = np.transpose(np.flip(array, tuple(axes)), (*order, 3))
    told = geometry.cropped(start, shape).flipped(tuple(axes)).permuted(order)
    assert told.shape == moved.shape[:3]
    index = np.indices(told.shape).reshape(3, -1).T
    np.testing.assert_allclose(told.index_to_world(index), moved.reshape(-1, 3), atol=1e-6)


def test_zoom_keeps_the_field_of_view():
    geometry = VolumeGeometry((5, 6, 7), (1.0, 1.5, 2.0), IDENTITY, (8, 6, 4))
    fine = geometry.zoomed((16, 12, 8))
    whole = np.array([[0, 0, 0, 8, 6, 4]])
    for a, b in zip(geometry.box_to_world(whole), fine.box_to_world(2 * whole), strict=True):
        np.testing.assert_allclose(a, b)
    assert fine.spacing == (0.5, 0.75, 1.0)


def test_dict_round_trip_and_no_boxes():
    geometry = VolumeGeometry((1, 2, 3), (1, 1, 1), IDENTITY, (3, 3, 3))
    assert VolumeGeometry.from_dict(geometry.to_dict()) == geometry
    centers, sizes = geometry.box_to_world(np.zeros((0, 6)))
    assert centers.shape == sizes.shape == (0, 3)
    assert geometry.world_to_box(centers, np.zeros(0)).shape == (0, 6)


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('spacing', (1, 0, 1), 'spacing must be > 0'),
        ('spacing', (1, -1, 1), 'spacing must be > 0'),
        ('direction', (1, 0, 0, 1, 0, 0, 0, 0, 1), 'perpendicular'),
        ('origin', (0, float('nan'), 0), 'finite'),
        ('origin', (0, 0), '3 finite numbers'),
        ('shape', (4, 0, 4), 'integers >= 1'),
        ('shape', (4, 2.5, 4), 'integers >= 1'),
    ],
)
def test_nonsense_is_refused(field, value, message):
    good = dict(origin=(0, 0, 0), spacing=(1, 1, 1), direction=IDENTITY, shape=(4, 4, 4))
    with pytest.raises(ValueError, match=message):
        VolumeGeometry(**{**good, field: value})


@given(st.integers(0, 999), st.floats(-5, 0))
def test_directions_are_judged_by_the_products_of_their_columns(seed, exponent):
    rng = np.random.default_rng(seed)
    matrix = Rotation.random(random_state=seed).as_matrix() + 10**exponent * rng.normal(size=(3, 3))
    worst = np.abs(matrix.T @ matrix - np.eye(3)).max()
    assume(abs(worst - 1e-3) > 1e-9)  # where sums may be rounded either way
    try:
        check_direction(tuple(matrix.ravel()))
    except ValueError:
        assert worst > 1e-3
    else:
        assert worst <= 1e-3


@pytest.mark.parametrize('place', range(9))
def test_directions_of_which_no_product_can_be_computed(place):
    direction = list(IDENTITY)
    direction[place] = 1e200
    with pytest.raises(ValueError, match='perpendicular'):
        check_direction(tuple(direction))
    with pytest.raises(ValueError, match='perpendicular'):
        check_direction((1e200, -1e200, 0.0) * 3)


def test_wrong_rows_are_refused():
    geometry = VolumeGeometry((0, 0, 0), (1, 1, 1), IDENTITY, (4, 4, 4))
    with pytest.raises(ValueError, match=r'expected an array of shape \(N, 6\)'):
        geometry.box_to_world(np.zeros((2, 3)))


@pytest.mark.parametrize(
    ('degrees', 'expected'), [(0, [5, 4, 3]), (10, [5, 4, 3]), (80, [4, 5, 3]), (-170, [5, 4, 3])]
)
def test_extents_by_the_nearest_world_axis(degrees, expected):
    """A box of 3 x 4 x 5 mm (z, y, x), its volume turned about the body axis."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    geometry = VolumeGeometry((0, 0, 0), (1, 1, 1), (c, -s, 0, s, c, 0, 0, 0, 1), (9, 9, 9))
    extents = geometry.extents_to_world(np.array([[3.0, 4, 5]]))
    assert extents.tolist() == [expected]
    assert geometry.extents_from_world(extents).tolist() == [[3, 4, 5]]
