"""Targets that a detector guesses over views."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet3d_medical.models.detectors.views import View
from mmdet3d_medical.models.semi import AnchorTargets, guessing, sharpen
from mmdet3d_medical.models.semi.steps import IgnoreRange, Sharpen, Threshold, TopK
from mmdet3d_medical.registry import MODELS


def rng(seed=0) -> np.random.Generator:
    return np.random.default_rng(seed)


def patches(shape, number=2, seed=0) -> torch.Tensor:
    return torch.randn(number, 1, *shape, generator=torch.Generator().manual_seed(seed))


def guess(detector, inputs, num=8, seed=0, steps=(), views=None, **cfg):
    targets = AnchorTargets({'num': num, **(views or {})}, steps, **cfg)
    return targets([detector], inputs, rng(seed))


def test_sharpening_by_hand():
    # T = 0.5: 0.8^2 / (0.8^2 + 0.2^2) = 0.64 / 0.68
    result = sharpen(torch.tensor([0.8, 0.5, 0.2]), 0.5)
    torch.testing.assert_close(result, torch.tensor([0.64 / 0.68, 0.5, 0.04 / 0.68]))
    # About 0.2, with T = 0.5, odds of 1 (four times those of 0.2) become 0.25 * 4^2 = 4.
    result = sharpen(torch.tensor([0.5, 0.2]), 0.5, center=0.2)
    torch.testing.assert_close(result, torch.tensor([0.8, 0.2]))


@given(st.floats(0.05, 20), st.floats(0.01, 0.99))
@settings(deadline=None, max_examples=40)
def test_sharpening_is_the_papers_power_form(temperature, p):
    p = torch.tensor([p], dtype=torch.float64)
    powers = p ** (1 / temperature), (1 - p) ** (1 / temperature)
    torch.testing.assert_close(sharpen(p, temperature), powers[0] / sum(powers))


@pytest.mark.parametrize('center', [0.1, 0.5, 0.9])
def test_temperatures_at_the_ends(center):
    p = torch.tensor([0, 1e-30, 1e-6, 0.09, 0.3, 0.6, 0.95, 1 - 1e-7, 1])
    assert torch.equal(sharpen(p, 1.0, center), p)
    one_hot = (p > center).float()
    assert torch.equal(sharpen(p, 0.0, center), one_hot)
    torch.testing.assert_close(sharpen(p, 1e-4, center), one_hot)
    for temperature in (0, 1e-45, 1e-8, 0.1, 0.7, 3, 1e6):
        sharp = sharpen(p, temperature, center)
        assert ((sharp >= 0) & (sharp <= 1)).all()
        assert sharp[0] == 0 and sharp[-1] == 1
        middle = torch.tensor([center])
        torch.testing.assert_close(sharpen(middle, temperature, center), middle)


COMMUTING = [
    # patch, stride, sizes of anchors; sizes minus strides are even
    ((8, 8, 8), 2, [2, 4]),
    ((8, 8, 8), 2, [(2, 2, 6), (2, 6, 2), (6, 2, 2)]),
    ((6, 8, 16), (2, 2, 4), [(2, 4, 4), (4, 2, 8)]),
    ((4, 12, 12), (1, 2, 2), [(3, 4, 6), (3, 6, 4), (1, 2, 2)]),
    ((8, 8, 8), (1, 2, 2), [(1, 4, 4)]),
]


@pytest.mark.parametrize('shape, stride, sizes', COMMUTING)
@pytest.mark.parametrize('norm', [False, True])
def test_all_views_guess_as_one_does(block_detector, shape, stride, sizes, norm):
    detector = block_detector(stride, sizes, norm=norm)
    inputs = patches(shape)
    one, many = (guess(detector, inputs, num).cls for num in (1, 48))
    torch.testing.assert_close(many, one, atol=1e-6, rtol=0)
    plain, _ = detector.bbox_head.flatten(detector(inputs))
    torch.testing.assert_close(one, plain.sigmoid(), atol=1e-6, rtol=0)
    assert plain.std() > 0.1  # there is something to mix up


def test_a_prior_set_that_is_not_closed(block_detector):
    with pytest.raises(ValueError, match='not closed under this view'):
        guess(block_detector(2, [(2, 2, 4)]), patches((8, 8, 8)), num=48)
    with pytest.raises(ValueError, match='center_offset=0.5'):
        guess(block_detector(2, [2], offset=0.0), patches((8, 8, 8)), num=8)
    no_permutation = dict(permute_axes=())
    result = guess(block_detector(2, [(2, 2, 4)]), patches((8, 8, 8)), 8, views=no_permutation)
    assert result.cls.shape == (2, 64, 1)


def lopsided(block_detector):
    """Scores grow along x, whatever the image shows."""
    detector = block_detector(2, [2])
    ramp = torch.linspace(-2, 2, 8)
    detector.extract_feat = lambda inputs: torch.zeros_like(inputs) + ramp
    return detector


def test_mean_of_two_views_by_hand(block_detector):
    detector = lopsided(block_detector)
    only_x = dict(flip_axes=(2,), permute_axes=())
    p = torch.linspace(-2, 2, 8).unflatten(0, (4, 2)).mean(1).sigmoid()
    mean = guess(detector, patches((2, 2, 8)), 2, views=only_x).cls[0, :, 0]
    torch.testing.assert_close(mean, (p + p.flip(0)) / 2)  # 0.5 everywhere
    straight, steps = dict(flip_axes=(), permute_axes=()), [dict(type='Sharpen', temperature=0.5)]
    sharp = guess(detector, patches((2, 2, 8)), 1, views=straight, steps=steps).cls[0, :, 0]
    torch.testing.assert_close(sharp, p**2 / (p**2 + (1 - p) ** 2))


def test_views_per_forward_only_bound_the_memory(small_detector):
    torch.manual_seed(0)
    detector = MODELS.build(small_detector())
    detector.init_weights()
    sizes, forward = [], detector.backbone.forward
    detector.backbone.forward = lambda x: (sizes.append(len(x)), forward(x))[1]
    inputs = patches((16, 16, 16))
    results = [guess(detector, inputs, 5, views=dict(per_forward=n)).cls for n in (1, 2, 5)]
    assert sizes == [2] * 5 + [4, 4, 2] + [10]
    for other in results[1:]:
        torch.testing.assert_close(other, results[0])
    assert not torch.equal(results[0], guess(detector, inputs, 5, seed=1).cls)


def test_brightness_is_part_of_a_view(block_detector):
    inputs = patches((4, 4, 4))
    shifted = guess(block_detector(), inputs, 1, views=dict(shift_range=(1, 1)))
    torch.testing.assert_close(shifted.cls, guess(block_detector(), inputs + 1, 1).cls)


def test_guessing_leaves_no_trace(block_detector):
    detector = block_detector(norm=True).train()
    detector.dropout = torch.nn.Dropout(0.9)
    frozen = detector.frozen = torch.nn.BatchNorm3d(1).eval()
    detector.extract_feat = lambda x: frozen(detector.dropout(detector.norm(x)))
    before = copy.deepcopy(detector.state_dict())
    inputs = 3 * patches((4, 4, 4)) + 5
    results = {name: guess(detector, inputs, bn_stats=name).cls for name in ('batch', 'running')}
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())
    assert detector.norm.training and detector.norm.track_running_stats
    assert detector.dropout.training and not frozen.training
    assert not any(result.requires_grad for result in results.values())

    normed = (inputs - inputs.mean()) / (inputs.var(unbiased=False) + detector.norm.eps).sqrt()
    for name, seen in (('batch', normed), ('running', inputs)):  # running: mean 0, variance 1
        logits, _ = detector.bbox_head.flatten(detector.bbox_head(seen))
        torch.testing.assert_close(results[name], logits.sigmoid(), atol=1e-4, rtol=0)


def test_modes_are_put_back_after_an_error(block_detector):
    detector = block_detector(norm=True)
    with pytest.raises(RuntimeError), guessing(detector, 'batch'):
        assert detector.norm.training and not detector.training
        raise RuntimeError
    assert detector.training and detector.norm.track_running_stats


def test_weights_cast_while_guessing_still_get_gradients():
    """Autocast would hand the copies made without gradient to the training pass."""
    conv = torch.nn.Conv3d(1, 1, 1)
    with torch.autocast('cpu', torch.bfloat16):
        with torch.no_grad(), guessing(conv, 'batch'):
            conv(patches((2, 2, 2)))
        conv(patches((2, 2, 2))).float().sum().backward()
    assert conv.weight.grad is not None and conv.weight.grad.abs() > 0


def test_objects_are_carried_back_as_boxes(block_detector):
    """The priors of two bright blocks and no others, although they are seen mirrored."""
    detector = block_detector(2, [2, 4])
    volume = torch.full((2, 1, 8, 8, 8), -5.0)
    volume[0, 0, 0:2, 2:4, 6:8] = 5.0
    volume[0, 0, 5:9, 3:7, 1:5] = 5.0  # not at an anchor's place, a part of it
    expected = [[0.0, 2, 6, 2, 4, 8]]
    for seed in range(5):
        found = guess(detector, volume, num=1, seed=seed, score_thr=0.99).boxes
        assert found[0][:1].tolist() == expected
        inside = [[6.0, 4, 2, 8, 6, 4]]
        assert sorted(found[0].tolist()) == sorted(expected + inside)
        assert found[1].shape == (0, 6)


def test_objects_are_decoded_where_they_were_seen(block_detector):
    """What the regression adds in a mirrored view is mirrored on the way back."""
    detector = block_detector(2, [2])
    detector.bbox_head.decode = lambda priors, deltas: priors + torch.tensor([0.0, 0, 1, 0, 0, 3])
    volume = torch.full((1, 1, 2, 2, 8), -9.0)
    volume[..., 4:6] = 9.0
    views = dict(flip_axes=(2,), permute_axes=())
    guesser = AnchorTargets(dict(num=1, **views))
    for seed in range(8):
        view = guesser.views.draw(rng(seed), (2, 2, 8), detector.bbox_head.priors((2, 2, 8)))[0]
        box = guesser([detector], volume, rng(seed)).boxes[0][0, [2, 5]].tolist()
        # Seen straight, 4..6 becomes 5..9. Mirrored it is 2..4, becomes 3..7, and 1..5 put back.
        assert box == ([1.0, 5.0] if view == View(flips=(2,)) else [5.0, 9.0])


def test_of_several_views_the_first_one_boxes_the_mean(block_detector):
    """The target is the mean of both views; regression outputs and box are the first one's."""
    detector = block_detector(2, [2])
    head, moved = detector.bbox_head, torch.tensor([0.0, 0, 1, 0, 0, 1])
    flatten = head.flatten
    head.flatten = lambda outs: (flatten(outs)[0], (flatten(outs)[0] > 0) * moved)
    volume = torch.full((1, 1, 2, 2, 8), -9.0)
    volume[..., 4:6] = 9.0
    guesser = AnchorTargets(dict(num=2, flip_axes=(2,), permute_axes=()))
    firsts = set()
    for seed in range(8):
        views = guesser.views.draw(rng(seed), (2, 2, 8), head.priors((2, 2, 8)))
        box = guesser([detector], volume, rng(seed)).boxes[0][:, [2, 5]].tolist()
        # Straight, 4..6 becomes 5..7. Mirrored it is 2..4, becomes 3..5, and put back 3..5.
        assert box == ([[3.0, 5.0]] if views[0] == View(flips=(2,)) else [[5.0, 7.0]])
        firsts.add(views[0])
    assert len(firsts) == 2


def test_no_objects_without_decode_or_confidence(block_detector, monkeypatch):
    detector, inputs = block_detector(), patches((4, 4, 4))
    assert len(guess(detector, inputs, score_thr=0.0).boxes[0]) == 8
    assert len(guess(detector, inputs, score_thr=1.0).boxes[0]) == 0
    monkeypatch.delattr(type(detector.bbox_head), 'decode')
    result = guess(detector, inputs, score_thr=0.0)
    assert [len(boxes) for boxes in result.boxes] == [0, 0]


def test_what_it_is_unsure_of_counts_neither_way(block_detector):
    """Probabilities .14, .32, .59, .82, by their mean before sharpening."""
    detector, once = lopsided(block_detector), dict(flip_axes=(), permute_axes=())
    unsure = dict(type='IgnoreRange', low=0.2, high=0.7)
    weights = [
        guess(detector, patches((2, 2, 8)), 1, views=once, steps=steps).weight[0].tolist()
        for steps in ([unsure], [unsure, dict(type='Sharpen', temperature=0.1)], [])
    ]
    assert weights == [[1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]]


def test_the_likeliest_class_decides_whether_it_is_unsure():
    mean = torch.tensor([[[0.1, 0.9], [0.3, 0.1], [0.1, 0.15], [0.5, 0.8]]])
    cls, weight = IgnoreRange(0.2, 0.7)(mean, torch.tensor([[1.0, 1, 0, 1]]))
    assert weight.tolist() == [[1, 0, 0, 1]] and torch.equal(cls, mean)


def test_the_best_of_each_patch_keep_their_targets():
    """Of 4 priors half are kept, by their likeliest class."""
    mean = torch.tensor(
        [[[0.1, 0.9], [0.3, 0.1], [0.1, 0.15], [0.5, 0.8]], [[0.0, 0], [0.2, 0], [0.1, 0], [0, 0]]]
    )
    cls, weight = TopK(0.5)(mean, torch.ones(2, 4))
    assert (weight == 1).all()
    torch.testing.assert_close(cls[0], torch.tensor([[0.1, 0.9], [0, 0], [0, 0], [0.5, 0.8]]))
    torch.testing.assert_close(cls[1], torch.tensor([[0.0, 0], [0.2, 0], [0.1, 0], [0, 0]]))
    assert (TopK(0.01)(mean, weight)[0].amax(-1) > 0).sum(1).tolist() == [1, 1]  # at least one


def test_hard_targets():
    cls, _ = Threshold(0.7)(torch.tensor([[[0.69], [0.71], [1.0]]]), torch.ones(1, 3))
    assert cls.flatten().tolist() == [0, 1, 1]


def test_several_detectors_guess_their_mean(block_detector):
    detectors, inputs = [block_detector(), block_detector()], patches((4, 4, 4))
    with torch.no_grad():
        detectors[1].bbox_head.bias += 2
    both = AnchorTargets(dict(num=2), [])(detectors, inputs, rng()).cls
    alone = [guess(detector, inputs, 2).cls for detector in detectors]
    torch.testing.assert_close(both, (alone[0] + alone[1]) / 2)
    assert not torch.equal(alone[0], alone[1])


@pytest.mark.parametrize('low, high', [(0.5, 0.1), (-0.1, 0.5), (0.1, 1.1)])
def test_impossible_limits(low, high):
    with pytest.raises(ValueError, match=f'found low={low} and high={high}'):
        IgnoreRange(low, high)


@pytest.mark.parametrize(
    'build',
    [
        lambda: Sharpen(-0.1),
        lambda: Sharpen(math.nan),
        lambda: Sharpen(center=0.0),
        lambda: Threshold(1.0),
        lambda: TopK(0.0),
        lambda: TopK(1.1),
        lambda: AnchorTargets(bn_stats='ema'),
    ],
)
def test_impossible_settings(build):
    with pytest.raises(ValueError, match='expected|bn_stats'):
        build()
