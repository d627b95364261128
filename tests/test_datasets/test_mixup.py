"""MixUp of batches: hand-worked mixes, what may never change, and what is drawn."""

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmdet3d_medical.datasets.transforms import ImageMixUp, ObjectMixUp
from mmdet3d_medical.datasets.transforms.regions import extent, voxel_regions
from mmdet3d_medical.models.dense_heads.targets import DenseTargets


def rng_of(seed=0):
    return np.random.default_rng(seed)


def targets_of(cls, weight=None, box=None, box_weight=None):
    """Targets (B, N, 1) and boxes (B, N, 1) from lists (B, N)."""
    cls = torch.tensor(cls)
    weight = torch.ones_like(cls) if weight is None else torch.tensor(weight)
    box = torch.zeros_like(cls) if box is None else torch.tensor(box)
    box_weight = torch.zeros_like(cls) if box_weight is None else torch.tensor(box_weight)
    return DenseTargets(cls[..., None], weight, box[..., None], box_weight)


def random_targets(batch=6, number=9, seed=3):
    generator = torch.Generator().manual_seed(seed)
    cls, weight, box_weight = torch.rand(3, batch, number, generator=generator)
    return DenseTargets(
        cls[..., None],
        (weight > 0.3).float(),
        torch.rand(batch, number, 6, generator=generator),
        (box_weight > 0.7).float(),
    )


def random_inputs(batch=6, shape=(5, 6, 7), channels=1, seed=4):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, *shape, generator=generator)


class TestLambda:
    @pytest.mark.parametrize('eta', [1e-4, 0.2, 0.75, 2.0])
    def test_is_the_larger_part_of_a_beta_draw(self, eta):
        lam = ImageMixUp(eta).draw_lambda(20000, rng_of()).astype(float)
        assert lam.min() >= 0.5 and lam.max() <= 1
        for value in (0.6, 0.8, 0.95):
            # lambda' <= v means 1 - v <= lambda <= v.
            expected = np.diff(scipy.stats.beta.cdf([1 - value, value], eta, eta))[0]
            assert abs((lam <= value).mean() - expected) < 0.015

    def test_zero_turns_mixing_off_without_a_draw(self):
        rng = rng_of()
        assert ImageMixUp(0).draw_lambda(4, rng).tolist() == [1, 1, 1, 1]
        assert rng.random() == rng_of().random()

    def test_probability(self):
        lam = ImageMixUp(1.0, p=0.3).draw_lambda(5000, rng_of())
        assert 0.27 < (lam < 1).mean() < 0.33

    @pytest.mark.parametrize(
        'wrong',
        [
            dict(eta=-0.1),
            dict(eta=float('nan')),
            dict(eta=float('inf')),
            dict(p=1.5),
            dict(box='none'),
        ],
    )
    def test_wrong_arguments_are_refused(self, wrong):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ImageMixUp(**wrong)

    def test_repr_has_the_settings(self):
        assert repr(ObjectMixUp(0.5)) == 'ObjectMixUp(eta=0.5, p=1.0, num_channels=None)'


class TestImageMixUp:
    def test_worked_by_hand(self):
        inputs = torch.tensor([4.0, 8.0, -2.0]).view(3, 1, 1, 1, 1)
        targets = targets_of(
            [[1.0, 0.0], [0.5, 0.0], [0.0, 0.2]], weight=[[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
        )
        partner, lam = torch.tensor([1, 2, 0]), torch.tensor([0.75, 0.5, 0.9])
        mixup = ImageMixUp()
        mixed = mixup.mix_inputs(inputs, partner, lam)
        # 0.75 * 4 + 0.25 * 8, 0.5 * 8 - 0.5 * 2, -0.9 * 2 + 0.1 * 4
        torch.testing.assert_close(mixed.flatten(), torch.tensor([5.0, 3.0, -1.4]))
        mixed = mixup.mix_targets(targets, partner, lam)
        # 0.75 * 1 + 0.25 * 0.5, 0.5 * 0.5, 0.1 * 1; then 0, 0.5 * 0.2, 0.9 * 0.2
        torch.testing.assert_close(
            mixed.cls[..., 0], torch.tensor([[0.875, 0.0], [0.25, 0.1], [0.1, 0.18]])
        )
        # Patch 1 ignores its second anchor, so patch 0, whose partner it is, ignores it too.
        assert mixed.cls_weight.tolist() == [[1, 0], [1, 0], [1, 1]]

    def test_batch_is_mixed_as_drawn(self):
        inputs, targets = random_inputs(), random_targets()
        before = inputs.clone(), targets.cls.clone(), targets.cls_weight.clone()
        mixed, new, partner, lam = ImageMixUp(0.75).mix(inputs, targets, rng_of())
        assert sorted(partner.tolist()) == list(range(6)) and (lam >= 0.5).all()
        for k, (other, weight) in enumerate(zip(partner.tolist(), lam.tolist(), strict=True)):
            expected = weight * inputs[k].double() + (1 - weight) * inputs[other].double()
            torch.testing.assert_close(mixed[k].double(), expected, atol=1e-6, rtol=0)
            expected = weight * targets.cls[k].double() + (1 - weight) * targets.cls[other].double()
            torch.testing.assert_close(new.cls[k].double(), expected, atol=1e-6, rtol=0)
        for now, then in zip((inputs, targets.cls, targets.cls_weight), before, strict=True):
            assert torch.equal(now, then)

    def test_without_mixing_every_bit_stays(self):
        inputs, targets = random_inputs(), random_targets()
        for mixup in (ImageMixUp(0), ImageMixUp(0.5, p=0.0), ImageMixUp(0, box='both')):
            mixed, new, _, lam = mixup.mix(inputs, targets, rng_of())
            assert torch.equal(lam, torch.ones(6)) and torch.equal(mixed, inputs)
            assert torch.equal(new.cls, targets.cls)
            assert torch.equal(new.cls_weight, targets.cls_weight)
            assert torch.equal(new.box_weight, targets.box_weight)
            chosen = targets.box_weight > 0
            assert torch.equal(new.box[chosen], targets.box[chosen])

    def test_mass_of_targets_is_conserved(self):
        targets = random_targets()
        mixup, partner = ImageMixUp(), torch.from_numpy(rng_of().permutation(6))
        mixed = mixup.mix_targets(targets, partner, torch.full((6,), 0.6))
        torch.testing.assert_close(mixed.cls.sum(dim=0), targets.cls.sum(dim=0))
        assert mixed.cls.min() >= 0 and mixed.cls.max() <= 1

    def test_every_permutation_is_drawn(self):
        drawn = {
            tuple(ImageMixUp().mix(random_inputs(3), random_targets(3), rng_of(seed))[2].tolist())
            for seed in range(60)
        }
        assert len(drawn) == 6

    def test_boxes_of_the_dominant_member(self):
        targets = random_targets()
        mixed = ImageMixUp(1.0).mix(random_inputs(), targets, rng_of())[1]
        assert torch.equal(mixed.box, targets.box)
        assert torch.equal(mixed.box_weight, targets.box_weight)

    def test_boxes_of_both_members(self):
        targets = targets_of(
            [[0.0] * 4] * 2,
            box=[[1.0, 2.0, 0.0, 0.0], [0.0, 5.0, 6.0, 0.0]],
            box_weight=[[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]],
        )
        mixed = ImageMixUp(box='both').mix_targets(
            targets, torch.tensor([1, 0]), torch.tensor([0.75, 0.5])
        )
        # Patch 0 has boxes at anchors 0 and 1: its partner's at 1 gives way, that at 2 comes in.
        torch.testing.assert_close(
            mixed.box_weight, torch.tensor([[0.75, 0.75, 0.25, 0], [0.5, 0.5, 0.5, 0]])
        )
        assert mixed.box[..., 0].tolist() == [[1, 2, 6, 0], [1, 5, 6, 0]]

    def test_a_patch_mixed_with_itself_keeps_its_boxes(self):
        targets = targets_of([[1.0, 0.0]], box=[[1.0, 0.0]], box_weight=[[1.0, 0.0]])
        mixed = ImageMixUp(box='both').mix_targets(targets, torch.tensor([0]), torch.tensor([0.6]))
        assert mixed.box_weight.tolist() == [[1.0, 0.0]]

    def test_extra_channels_stay(self):
        inputs = random_inputs(channels=4)
        mixed, *_ = ImageMixUp(5.0, num_channels=1).mix(inputs, random_targets(), rng_of())
        assert torch.equal(mixed[:, 1:], inputs[:, 1:])
        whole, *_ = ImageMixUp(5.0).mix(inputs, random_targets(), rng_of())
        assert torch.equal(mixed[:, :1], whole[:, :1])
        assert not torch.equal(whole[:, 1:], inputs[:, 1:])

    def test_same_generator_same_mix_and_no_other_source(self):
        torch.manual_seed(0)
        np.random.seed(0)
        state = torch.get_rng_state(), np.random.get_state()[1].copy()
        runs = [ImageMixUp().mix(random_inputs(), random_targets(), rng_of(s)) for s in (1, 1, 2)]
        assert torch.equal(runs[0][0], runs[1][0]) and torch.equal(runs[0][1].cls, runs[1][1].cls)
        assert not torch.equal(runs[0][0], runs[2][0])
        assert torch.equal(torch.get_rng_state(), state[0])
        assert np.array_equal(np.random.get_state()[1], state[1])

    def test_one_patch_mixes_with_itself(self):
        inputs = random_inputs(1)
        mixed, _, partner, _ = ImageMixUp(1.0).mix(inputs, random_targets(1), rng_of())
        assert partner.tolist() == [0]
        torch.testing.assert_close(mixed, inputs)


class TestRegions:
    @pytest.mark.parametrize(
        'edges, expected',
        [
            ((2.0, 5.0), (2, 5)),
            ((2.4, 4.6), (2, 5)),  # centers 2.5, 3.5, 4.5
            ((2.6, 4.4), (3, 4)),
            ((3.6, 3.9), (3, 4)),  # no center inside: the voxel around the middle
            ((3.9, 4.2), (4, 5)),  # middle 4.05
            ((2.5, 3.5), (2, 3)),
            ((-3.0, 2.0), (0, 2)),
            ((6.0, 99.0), (6, 8)),
            ((7.9, 9.0), (7, 8)),
        ],
    )
    def test_voxels_with_centers_inside(self, edges, expected):
        box = np.array([[edges[0], 0, 0, edges[1], 1, 1]])
        assert voxel_regions(box, (8, 8, 8))[0][0] == slice(*expected)

    @pytest.mark.parametrize('edges', [(3.0, 3.0), (4.0, 3.0), (8.0, 9.0), (-2.0, 0.0)])
    def test_flat_inverted_and_outside_boxes_have_none(self, edges):
        assert voxel_regions(np.array([[0, 0, edges[0], 1, 1, edges[1]]]), (8, 8, 8)) == [None]

    @settings(max_examples=50, deadline=None)
    @given(
        low=st.lists(st.floats(-5, 12), min_size=3, max_size=3),
        size=st.lists(st.floats(0.01, 9), min_size=3, max_size=3),
    )
    @example(low=[0.0, 8.999999999999998, 0.0], size=[1.0, 1.0, 1.0])
    def test_regions_lie_inside_and_hold_all_centers(self, low, size):
        box = np.array([*low, *np.add(low, size)])
        region = voxel_regions(box[None], (8, 9, 10))[0]
        for axis, side in enumerate((8, 9, 10)):
            centers = np.arange(side) + 0.5
            inside = np.flatnonzero((centers >= box[axis]) & (centers < box[axis + 3]))
            if region is not None:
                part = region[axis]
                assert 0 <= part.start < part.stop <= side
                voxels = set(range(part.start, part.stop))
                assert set(inside) <= voxels and len(voxels) == max(len(inside), 1)


def two_lesions():
    """Two patches of noise, a lesion of 2 x 2 x 2 voxels in each, and a bare third."""
    boxes = [
        torch.tensor([[1.0, 1, 1, 3, 3, 3]]),
        torch.tensor([[2.0, 3, 4, 4, 5, 6]]),
        torch.zeros(0, 6),
    ]
    return random_inputs(3, (6, 6, 6)), boxes


class TestObjectMixUp:
    def test_lesions_of_one_size_by_hand(self):
        inputs, boxes = two_lesions()
        before = inputs.clone()
        mixed, same, partner, lam = ObjectMixUp(2.0).mix(inputs, boxes, rng_of())
        assert same is boxes and torch.equal(inputs, before) and partner.tolist() == [1, 0]
        a, b = inputs[0, :, 1:3, 1:3, 1:3], inputs[1, :, 2:4, 3:5, 4:6]
        torch.testing.assert_close(mixed[0, :, 1:3, 1:3, 1:3], lam[0] * a + (1 - lam[0]) * b)
        # The first lesion is lent as it was before it was mixed.
        torch.testing.assert_close(mixed[1, :, 2:4, 3:5, 4:6], lam[1] * b + (1 - lam[1]) * a)
        assert (mixed != inputs).sum() == 16 and 0.5 <= lam.min() and lam.max() < 1

    def test_partner_is_rescaled_trilinearly_edges_on_edges(self):
        inputs = torch.zeros(1, 1, 8, 8, 8)
        inputs[0, 0, 6:8, 0, 0] = torch.tensor([0.0, 4.0])
        boxes = [torch.tensor([[0.0, 0, 0, 4, 1, 1], [6.0, 0, 0, 8, 1, 1]])]
        mixed, _, _, lam = ObjectMixUp(50.0).mix(inputs, boxes, rng_of())
        # Four voxels over two: centers at -1/4, 1/4, 3/4, 5/4 of the partner's index.
        expected = (1 - lam[0]) * torch.tensor([0.0, 1.0, 3.0, 4.0])
        torch.testing.assert_close(mixed[0, 0, :4, 0, 0], expected)
        # Two over four voxels, all 0.
        torch.testing.assert_close(mixed[0, 0, 6:, 0, 0], lam[1] * torch.tensor([0.0, 4.0]))

    def test_lesions_across_the_border(self):
        inputs, _ = two_lesions()
        boxes = [
            torch.tensor([[-2.0, -1, 4, 2, 3, 9]]),
            torch.tensor([[5.0, 0, 0, 8, 6, 6]]),
            torch.zeros(0, 6),
        ]
        mixed, _, _, lam = ObjectMixUp(2.0).mix(inputs, boxes, rng_of())
        assert extent(voxel_regions(boxes[0].numpy(), (6, 6, 6))[0]) == (2, 3, 2)
        changed = mixed != inputs
        assert changed[0, :, :2, :3, 4:].all() and changed[1, :, 5].all()
        assert changed.sum() == 2 * 3 * 2 + 6 * 6
        assert mixed.isfinite().all()

    @pytest.mark.parametrize(
        'boxes',
        [
            [[], [], []],
            [[[1, 1, 1, 3, 3, 3]], [], []],
            [[[1, 1, 1, 3, 3, 3]], [[2, 2, 2, 2, 4, 4]], [[9, 0, 0, 12, 3, 3]]],  # flat, outside
        ],
    )
    def test_fewer_than_two_lesions_change_nothing(self, boxes):
        boxes = [torch.tensor(part, dtype=torch.float32).reshape(-1, 6) for part in boxes]
        inputs, _ = two_lesions()
        mixed, _, partner, lam = ObjectMixUp().mix(inputs, boxes, rng_of())
        assert torch.equal(mixed, inputs)
        assert partner.tolist() == list(range(len(lam))) and (lam == 1).all()

    def test_boxes_that_cannot_be_mixed_keep_their_number(self):
        inputs, boxes = two_lesions()
        boxes[0] = torch.cat([torch.tensor([[1.0, 1, 1, 1, 3, 3]]), boxes[0]])
        _, _, partner, lam = ObjectMixUp(2.0).mix(inputs, boxes, rng_of())
        assert partner.tolist() == [0, 2, 1] and lam[0] == 1 and (lam[1:] < 1).all()

    def test_no_self_pairs_and_all_others(self):
        boxes = [torch.tensor([[float(k), 0, 0, k + 1, 1, 1] for k in range(5)])]
        pairs = set()
        for seed in range(80):
            partner = ObjectMixUp().mix(torch.zeros(1, 1, 6, 6, 6), boxes, rng_of(seed))[2]
            pairs |= set(enumerate(partner.tolist()))
        assert pairs == {(a, b) for a in range(5) for b in range(5) if a != b}

    def test_off_and_same_generator(self):
        inputs, boxes = two_lesions()
        assert torch.equal(ObjectMixUp(0).mix(inputs, boxes, rng_of())[0], inputs)
        runs = [ObjectMixUp(2.0).mix(inputs, boxes, rng_of(s))[0] for s in (1, 1, 2)]
        assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])

    def test_extra_channels_stay(self):
        _, boxes = two_lesions()
        inputs = random_inputs(3, (6, 6, 6), channels=2)
        mixed, *_ = ObjectMixUp(2.0, num_channels=1).mix(inputs, boxes, rng_of())
        assert torch.equal(mixed[:, 1], inputs[:, 1]) and (mixed != inputs)[:, 0].sum() == 16

    @settings(max_examples=30, deadline=None)
    @given(seed=st.integers(0, 10**6), number=st.integers(2, 5))
    def test_mixes_stay_between_what_is_mixed(self, seed, number):
        rng = rng_of(seed)
        low = rng.uniform(-3, 7, (number, 3))
        boxes = torch.tensor(np.hstack([low, low + rng.uniform(0.1, 6, (number, 3))]))
        inputs = random_inputs(1, (6, 7, 8), seed=seed)
        mixed, *_ = ObjectMixUp(1.0).mix(inputs, [boxes], rng)
        assert mixed.min() >= inputs.min() - 1e-5 and mixed.max() <= inputs.max() + 1e-5
        outside = torch.ones_like(inputs, dtype=torch.bool)
        for region in voxel_regions(boxes.numpy(), (6, 7, 8)):
            if region is not None:
                outside[(0, 0, *region)] = False
        assert torch.equal(mixed[outside], inputs[outside])

    def test_boxes_for_every_patch(self):
        with pytest.raises(ValueError, match='3 patches need as many tensors of boxes, found 1'):
            ObjectMixUp().mix(random_inputs(3), [torch.zeros(0, 6)], rng_of())
