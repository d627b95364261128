"""Transforms: what they draw, and that lesions never move in the world."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet3d_medical.datasets.transforms import (
    PackVolumeInputs,
    RandomCrop3D,
    RandomFlip3D,
    RandomGaussianNoise,
    RandomHUShiftScale,
    RandomPermuteAxes,
    RandomResizedCrop3D,
    RandomSharpness,
)
from mmdet3d_medical.datasets.transforms.crop import read_region, resize
from mmdet3d_medical.structures import VolumeGeometry

GEOMETRY = VolumeGeometry(
    (5.0, -7.0, 9.0), (0.7, 0.7, 2.0), (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0), (20, 24, 24)
)
BOXES = np.array([[4, 5, 6, 8, 9, 10], [12, 14, 2, 15, 20, 8], [0, 0, 0, 3, 3, 3]], np.float32)


def make_results(seed=0, boxes=BOXES, ignored=(False, False, True), geometry=GEOMETRY):
    volume = np.random.default_rng(9).integers(-1000, 400, (1, *geometry.shape)).astype(np.int16)
    return dict(
        scan_id='a',
        volume=volume,
        geometry=geometry,
        gt_bboxes=boxes.copy(),
        gt_bboxes_labels=np.arange(len(boxes)),
        gt_ignore_flags=np.array(ignored, bool),
        annotated=True,
        rng=np.random.default_rng(seed),
    )


def crop_of(results, **kwargs):
    return RandomCrop3D(**kwargs).transform(results)


class TestRandomCrop3D:
    def test_regions_are_cut_and_padded(self):
        volume = np.arange(24).reshape(1, 2, 3, 4)
        region = read_region(volume, np.array([0, 1, 2]), np.array([2, 2, 2]), -9)
        np.testing.assert_array_equal(region, volume[:, :, 1:, 2:])
        region = read_region(volume, np.array([-1, 2, 3]), np.array([2, 2, 2]), -9)
        np.testing.assert_array_equal(region[0], [[[-9, -9], [-9, -9]], [[11, -9], [-9, -9]]])
        region = read_region(volume, np.array([5, 0, 0]), np.array([1, 1, 1]), -9)
        np.testing.assert_array_equal(region, [[[[-9]]]])

    @pytest.mark.parametrize('seed', range(20))
    def test_patch_on_a_lesion_holds_one_lesion_whole(self, seed):
        results = crop_of(make_results(seed), size=(8, 10, 12), lesion_prob=1.0, jitter=1.0)
        boxes = results['gt_bboxes'][~results['gt_ignore_flags']]
        whole = (boxes[:, :3] >= -0.5).all(1) & (boxes[:, 3:] <= np.array([8, 10, 12]) + 0.5).all(1)
        assert whole.any()

    def test_without_jitter_the_lesion_is_in_the_middle(self):
        results = crop_of(
            make_results(boxes=BOXES[:1], ignored=[False]),
            size=(6, 6, 6),
            lesion_prob=1.0,
            jitter=0.0,
        )
        np.testing.assert_allclose(results['gt_bboxes'], [[1, 1, 1, 5, 5, 5]])

    def test_a_patch_aimed_at_a_lesion_at_the_border_stays_inside(self):
        # Its middle would lie at z = 1.5, and the patch of 10 begin at -3.5.
        results = crop_of(
            make_results(boxes=BOXES[2:], ignored=[False]),
            size=(10, 10, 10),
            lesion_prob=1.0,
            jitter=0.0,
        )
        np.testing.assert_array_equal(results['gt_bboxes'], BOXES[2:])
        np.testing.assert_array_equal(results['volume'], make_results()['volume'][:, :10, :10, :10])

    def test_voxels_move_with_boxes(self):
        results = make_results(seed=4, boxes=BOXES[:1], ignored=[False])
        results['volume'][0, 4:8, 5:9, 6:10] = 3000
        results = crop_of(results, size=(10, 12, 12), lesion_prob=1.0)
        z1, y1, x1, z2, y2, x2 = results['gt_bboxes'][0].clip(0).astype(int)
        assert (results['volume'][0, z1:z2, y1:y2, x1:x2] == 3000).all()

    def test_fraction_of_patches_on_lesions(self):
        geometry = VolumeGeometry((0, 0, 0), (1, 1, 1), GEOMETRY.direction, (200, 200, 200))
        box = np.array([[20, 20, 20, 24, 24, 24]], np.float32)
        transform = RandomCrop3D((16, 16, 16), lesion_prob=0.3)
        results = dict(
            make_results(boxes=box, ignored=[False]),
            geometry=geometry,
            volume=np.broadcast_to(np.int16(0), (1, 200, 200, 200)),
        )
        starts = [
            transform.draw_start(dict(results, rng=np.random.default_rng(seed)), transform.size)
            for seed in range(1000)
        ]
        on_lesion = [(4 <= start).all() and (start <= 24).all() for start in np.array(starts)]
        assert 0.25 < np.mean(on_lesion) < 0.35

    def test_small_volumes_are_padded_with_air(self):
        geometry = VolumeGeometry((0, 0, 0), (1, 1, 1), GEOMETRY.direction, (4, 24, 24))
        results = make_results(boxes=np.zeros((0, 6), np.float32), ignored=[], geometry=geometry)
        original = results['volume'].copy()
        results = crop_of(results, size=(10, 24, 24))
        start = int(np.flatnonzero((results['volume'][0] != -1024).any((1, 2)))[0])
        np.testing.assert_array_equal(results['volume'][:, start : start + 4], original)
        assert (np.delete(results['volume'], np.s_[start : start + 4], axis=1) == -1024).all()
        np.testing.assert_allclose(results['geometry'].index_to_world([[start, 0, 0]]), [[0, 0, 0]])

    def test_every_place_can_be_drawn(self):
        results = make_results(boxes=np.zeros((0, 6), np.float32), ignored=[])
        transform, size = RandomCrop3D((18, 24, 30)), np.array((18, 24, 30))
        starts = {
            tuple(transform.draw_start(dict(results, rng=np.random.default_rng(seed)), size))
            for seed in range(300)
        }
        assert starts == {(z, 0, x) for z in range(3) for x in range(-6, 1)}

    def test_lesions_that_are_cut_become_ignored(self):
        # visible: all of it, 3 / 4, 1 / 4, nothing; the last was ignored before
        boxes = np.array(
            [
                [2, 2, 2, 6, 6, 6],
                [7, 2, 2, 11, 6, 6],
                [9, 2, 2, 13, 6, 6],
                [12, 2, 2, 14, 6, 6],
                [2, 2, 2, 3, 3, 3],
            ],
            np.float32,
        )
        results = make_results(boxes=boxes, ignored=[False] * 4 + [True])
        transform = RandomCrop3D((10, 24, 24), min_visible=0.5)
        transform.draw_start = lambda results, size: np.array([0, 0, 0])
        results = transform.transform(results)
        assert results['gt_bboxes_labels'].tolist() == [0, 1, 2, 4]
        assert results['gt_ignore_flags'].tolist() == [False, False, True, True]
        np.testing.assert_array_equal(results['gt_bboxes'], boxes[[0, 1, 2, 4]])

    def test_lesions_larger_than_twice_the_patch_count(self):
        # 18 high, patches of 8: all 8 that could show do in the first, 3 in the second
        boxes = np.array([[-4, 2, 2, 14, 6, 6], [5, 2, 2, 23, 6, 6]], np.float32)
        transform = RandomCrop3D((8, 24, 24), min_visible=0.5)
        transform.draw_start = lambda results, size: np.array([0, 0, 0])
        results = transform.transform(make_results(boxes=boxes, ignored=[False] * 2))
        assert results['gt_ignore_flags'].tolist() == [False, True]

    def test_ignored_lesions_and_those_outside_are_not_aimed_at(self):
        boxes = np.array([[4, 4, 4, 6, 6, 6], [-9, 4, 4, -5, 8, 8]], np.float32)
        results = crop_of(
            make_results(boxes=boxes, ignored=[True, False]), size=(8, 8, 8), lesion_prob=1.0
        )
        assert results['volume'].shape == (1, 8, 8, 8)
        assert not (~results['gt_ignore_flags']).any()

    @pytest.mark.parametrize(
        'wrong',
        [
            dict(lesion_prob=1.5),
            dict(jitter=-1),
            dict(min_visible=2),
            dict(size=(0, 4, 4)),
            dict(size=(4,)),
        ],
    )
    def test_wrong_arguments_are_refused(self, wrong):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            RandomCrop3D(**{'size': (4, 4, 4), **wrong})

    def test_patches_lie_around_candidates_by_their_scores(self):
        """Nine to three to zero; never around the lesions, which nobody is to know."""
        shape = (40, 40, 200)
        candidates = np.array(
            [[18, 18, x - 2, 22, 22, x + 2] for x in (20, 100, 180, 300)], np.float32
        )
        results = dict(
            make_results(),
            volume=np.broadcast_to(np.int16(0), (1, *shape)),
            candidates=candidates,
            candidate_scores=np.array([0.9, 0.3, 0.0, 9.0]),
        )
        crop = RandomCrop3D((16, 16, 16), lesion_prob=1.0, jitter=0.0)
        starts = np.array(
            [
                crop.draw_start(dict(results, rng=np.random.default_rng(seed)), crop.size)
                for seed in range(400)
            ]
        )
        assert np.unique(starts, axis=0).tolist() == [[12, 12, 12], [12, 12, 92]]
        assert 0.7 < (starts[:, 2] == 12).mean() < 0.8

    def test_without_candidates_patches_lie_anywhere(self):
        """As they do with lesion_prob=0: also the draws are the same."""
        results = dict(candidates=np.zeros((0, 6), np.float32), candidate_scores=np.zeros(0))
        for seed in range(5):
            start = RandomCrop3D((8, 8, 8), lesion_prob=1.0).draw_start(
                {**make_results(seed), **results}, np.array([8, 8, 8])
            )
            anywhere = RandomCrop3D((8, 8, 8), lesion_prob=0.0).draw_start(
                make_results(seed), np.array([8, 8, 8])
            )
            assert start.tolist() == anywhere.tolist()


class TestRandomResizedCrop3D:
    def test_resizing_keeps_edges_on_edges(self):
        ramp = np.arange(4, dtype=np.float32)[None, :, None, None] * np.ones((1, 4, 3, 3), 'f4')
        halved = resize(ramp, np.array([2, 3, 3]))
        np.testing.assert_allclose(halved[0, :, 1, 1], [0.5, 2.5])

    @pytest.mark.parametrize('scale', [0.5, 2.0])
    def test_lesions_grow_by_the_drawn_factor(self, scale):
        results = make_results(boxes=BOXES[:1], ignored=[False])
        results['volume'][:] = -1000
        results['volume'][0, 4:8, 5:9, 6:10] = 1000
        transform = RandomResizedCrop3D(
            (8, 8, 8), scale_range=(scale, scale), lesion_prob=1.0, jitter=0.0
        )
        results = transform.transform(results)
        np.testing.assert_allclose(
            results['gt_bboxes'][:, 3:] - results['gt_bboxes'][:, :3], 4 * scale
        )
        np.testing.assert_allclose(results['geometry'].spacing, np.array([0.7, 0.7, 2.0]) / scale)
        inside = np.clip(results['gt_bboxes'][0], 0, 8).astype(int)
        z1, y1, x1, z2, y2, x2 = inside
        assert results['volume'][0, z1:z2, y1:y2, x1:x2].mean() > 400
        assert results['volume'].shape == (1, 8, 8, 8)

    def test_scales_stay_in_their_range_and_reach_both_ends(self):
        transform = RandomResizedCrop3D((40, 40, 40), scale_range=(0.8, 1.25))
        spacings = (
            np.array(
                [
                    transform.transform(make_results(seed))['geometry'].spacing[2]
                    for seed in range(60)
                ]
            )
            / 2.0
        )
        assert 0.79 < spacings.min() < 0.83 and 1.2 < spacings.max() < 1.26
        assert 0.4 < (spacings < 1).mean() < 0.6

    def test_wrong_range_is_refused(self):
        with pytest.raises(ValueError, match='scale_range'):
            RandomResizedCrop3D((4, 4, 4), scale_range=(1.2, 0.8))


class TestSpatial:
    def test_flip_of_one_axis(self):
        original = make_results()
        results = RandomFlip3D(axes=(2,), prob=1.0).transform(copy.deepcopy(original))
        np.testing.assert_array_equal(results['volume'], original['volume'][..., ::-1])
        np.testing.assert_array_equal(results['gt_bboxes'][0], [4, 5, 14, 8, 9, 18])

    def test_axes_are_flipped_independently(self):
        patterns = set()
        for seed in range(60):
            direction = RandomFlip3D().transform(make_results(seed))['geometry'].direction
            patterns.add(tuple(np.sign([direction[0], direction[4], direction[8]])))
        assert len(patterns) == 8

    def test_probability_zero_changes_nothing(self):
        original = make_results()
        for transform in (RandomFlip3D(prob=0.0), RandomPermuteAxes(prob=0.0)):
            results = transform.transform(copy.deepcopy(original))
            np.testing.assert_array_equal(results['volume'], original['volume'])
            assert results['geometry'] == GEOMETRY

    def test_only_alike_axes_are_permuted(self):
        # 20 x 24 x 24 voxels of 2 x 0.7 x 0.7 mm: y and x may be exchanged, z may not
        shapes, exchanged = set(), 0
        for seed in range(30):
            results = RandomPermuteAxes().transform(make_results(seed))
            shapes.add((results['volume'].shape, results['geometry'].spacing))
            exchanged += results['gt_bboxes'][0].tolist() == [4, 6, 5, 8, 10, 9]
        assert shapes == {((1, 20, 24, 24), (0.7, 0.7, 2.0))} and 5 < exchanged < 25

    def test_equal_extent_is_not_enough(self):
        geometry = VolumeGeometry((0, 0, 0), (1, 1, 2), GEOMETRY.direction, (24, 24, 24))
        for seed in range(20):
            results = make_results(seed, geometry=geometry)
            results = RandomPermuteAxes(axes=(0, 1)).transform(results)
            assert results['geometry'] == geometry

    def test_cubes_take_all_six_orders(self):
        geometry = VolumeGeometry((0, 0, 0), (1, 1, 1), (1, 0, 0, 0, 1, 0, 0, 0, 1), (24,) * 3)
        found = {
            tuple(
                RandomPermuteAxes().transform(make_results(s, geometry=geometry))['gt_bboxes'][
                    0, :3
                ]
            )
            for s in range(60)
        }
        assert len(found) == 6

    @pytest.mark.parametrize('kind', [RandomFlip3D, RandomPermuteAxes])
    def test_wrong_arguments_are_refused(self, kind):
        with pytest.raises(ValueError, match='axes'):
            kind(axes=(3,))
        with pytest.raises(ValueError, match='prob'):
            kind(prob=1.1)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_nothing_moves_in_the_world(seed):
    results = make_results(seed)
    centers, sizes = GEOMETRY.box_to_world(BOXES)
    for transform in (
        RandomCrop3D((22, 16, 16)),
        RandomFlip3D(),
        RandomPermuteAxes(),
        RandomResizedCrop3D((12, 14, 14), min_visible=0.0),
        RandomFlip3D(),
    ):
        results = transform.transform(results)
    kept = results['gt_bboxes_labels']
    found, extents = results['geometry'].box_to_world(results['gt_bboxes'])
    np.testing.assert_allclose(found, centers[kept], atol=1e-3)
    np.testing.assert_allclose(np.sort(extents), np.sort(sizes[kept]), atol=1e-3)
    assert results['geometry'].shape == results['volume'].shape[1:]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_voxels_keep_their_world_position(seed):
    """Each voxel holds its own number, so its place before and after can be compared."""
    results = make_results(seed)
    numbers = np.arange(np.prod(GEOMETRY.shape)).reshape(1, *GEOMETRY.shape)
    results['volume'] = numbers.astype(np.int32)
    for transform in (
        RandomCrop3D((22, 16, 16), pad_value=-1),
        RandomFlip3D(),
        RandomPermuteAxes(),
    ):
        results = transform.transform(results)
    index = np.argwhere(results['volume'][0] >= 0)[::97]
    before = np.stack(np.unravel_index(results['volume'][0][tuple(index.T)], GEOMETRY.shape), 1)
    np.testing.assert_allclose(
        results['geometry'].index_to_world(index), GEOMETRY.index_to_world(before), atol=1e-6
    )


class TestIntensity:
    def test_noise_has_the_drawn_spread(self):
        results = RandomGaussianNoise((20, 20), prob=1.0).transform(make_results())
        noise = results['volume'] - make_results()['volume']
        assert results['volume'].dtype == np.float32
        assert abs(noise.mean()) < 1 and 19 < noise.std() < 21

    def test_scale_leaves_air_and_shift_moves_all(self):
        results = make_results()
        results['volume'][0, 0, 0, :2] = -1000, 0
        transform = RandomHUShiftScale((5, 5), (1.1, 1.1), prob=1.0)
        volume = transform.transform(results)['volume']
        np.testing.assert_allclose(volume[0, 0, 0, :2], [-995, 105], atol=1e-3)

    def test_sharpness_between_mean_and_edge(self):
        def change(amount):
            results = make_results()
            results['volume'][:] = 0
            results['volume'][0, 5, 5, 5] = 270
            transform = RandomSharpness((amount, amount), prob=1.0)
            return transform.transform(results)['volume'][0, 5, 5, 4:6]

        np.testing.assert_allclose(change(-1.0), [10, 10], atol=1e-4)
        np.testing.assert_allclose(change(0.0), [0, 270], atol=1e-4)
        np.testing.assert_allclose(change(0.5), [-5, 270 + 130], atol=1e-3)

    @pytest.mark.parametrize('kind', [RandomGaussianNoise, RandomHUShiftScale, RandomSharpness])
    def test_probability_and_input_are_respected(self, kind):
        results = make_results()
        untouched = kind(prob=0.0).transform(dict(results))['volume']
        assert untouched is results['volume']
        before = results['volume'].copy()
        changed = kind(prob=1.0).transform(dict(results))['volume']
        np.testing.assert_array_equal(results['volume'], before)
        assert not np.array_equal(changed, before)
        assert kind.__name__ in repr(kind())

    @pytest.mark.parametrize(
        'make',
        [
            lambda: RandomGaussianNoise((-1, 5)),
            lambda: RandomGaussianNoise((5, 1)),
            lambda: RandomSharpness((-2, 0)),
            lambda: RandomHUShiftScale(scale_range=(1,)),
            lambda: RandomHUShiftScale(prob=2),
        ],
    )
    def test_wrong_arguments_are_refused(self, make):
        with pytest.raises(ValueError, match='must be'):
            make()


class TestPackVolumeInputs:
    def test_lesions_and_ignored_are_kept_apart(self):
        packed = PackVolumeInputs(meta_keys=('annotated', 'extra')).transform(make_results())
        sample = packed['data_samples']
        assert packed['inputs'].shape == (1, 20, 24, 24)
        assert sample.gt_instances.bboxes.numpy().tolist() == BOXES[:2].tolist()
        assert sample.gt_instances.labels.tolist() == [0, 1]
        assert sample.ignored_instances.bboxes.numpy().tolist() == BOXES[2:].tolist()
        assert (sample.scan_id, sample.geometry, sample.annotated) == ('a', GEOMETRY, True)
        assert sample.volume_shape == (20, 24, 24)

    def test_flipped_views_and_soft_scores(self):
        results = RandomFlip3D(prob=1.0).transform(make_results())
        results['gt_bboxes_scores'] = np.array([0.3, 0.7, 1.0], np.float32)
        packed = PackVolumeInputs().transform(results)
        np.testing.assert_array_equal(packed['inputs'].numpy(), results['volume'])
        np.testing.assert_allclose(packed['data_samples'].gt_instances.scores, [0.3, 0.7])

    def test_nothing_to_find(self):
        results = make_results(boxes=np.zeros((0, 6), np.float32), ignored=[])
        sample = PackVolumeInputs().transform(results)['data_samples']
        assert sample.gt_instances.bboxes.shape == (0, 6)
        assert len(sample.ignored_instances) == 0
