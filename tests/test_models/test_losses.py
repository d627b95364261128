"""Losses against formulas worked out independently."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet3d_medical.models.losses import BoxIoU3DLoss, SoftFocalLoss, SoftSquaredErrorLoss


def equation_9(p: float, y: float, a0: float, a1: float, gamma: float) -> float:
    entropy = -y * math.log(p) - (1 - y) * math.log(1 - p)
    return (a0 + y * (a1 - a0)) * abs(y - p) ** gamma * entropy


@given(st.floats(0.001, 0.999), st.floats(0, 1), st.sampled_from([0.0, 1.0, 2.0, 3.5]))
@settings(deadline=None, max_examples=50)
def test_equation_9(p, y, gamma):
    loss = SoftFocalLoss(alpha=(0.1, 0.7), gamma=gamma)
    logit, target = torch.tensor([[math.log(p / (1 - p))], [y]], dtype=torch.float64)
    value = loss(logit, target)
    assert float(value) == pytest.approx(equation_9(p, y, 0.1, 0.7, gamma), abs=1e-9, rel=1e-6)


def test_at_hard_targets_it_is_the_focal_loss():
    # p = 0.8: lesion 0.25 * 0.2^2 * -log 0.8, background 0.75 * 0.8^2 * -log 0.2.
    logits = torch.full((2,), math.log(4.0))
    loss = SoftFocalLoss(alpha=(0.75, 0.25), reduction='none')(logits, torch.tensor([1.0, 0.0]))
    expected = [0.25 * 0.04 * -math.log(0.8), 0.75 * 0.64 * -math.log(0.2)]
    torch.testing.assert_close(loss, torch.tensor(expected))


@pytest.mark.parametrize('y', [0.0, 0.02, 0.1, 0.3, 0.5, 0.77, 1.0])
def test_the_minimum_is_at_the_target(y):
    p = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    targets = torch.full_like(p, y)
    loss = SoftFocalLoss(reduction='none')(p.logit(), targets)
    assert abs(float(p[loss.argmin()]) - y) < 0.0015


def test_the_linear_mix_has_its_minimum_elsewhere():
    # With alpha = (0.05, 0.95) and a target of 0.1 it lies near 0.57.
    p = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    loss = SoftFocalLoss(soft_alpha='linear', soft_beta='linear', reduction='none')
    lowest = p[loss(p.logit(), torch.full_like(p, 0.1)).argmin()]
    assert float(lowest) == pytest.approx(0.57, abs=0.01)


@pytest.mark.parametrize(('y', 'hard'), [(0.5, 1.0), (0.49, 0.0), (0.9, 1.0)])
def test_threshold_switches(y, hard):
    p, a0, a1 = 0.3, 0.1, 0.6
    logit, target = torch.tensor([math.log(p / (1 - p))]), torch.tensor([y])
    entropy = -y * math.log(p) - (1 - y) * math.log(1 - p)
    by_alpha = SoftFocalLoss((a0, a1), soft_alpha='threshold')(logit, target)
    assert float(by_alpha) == pytest.approx((a1 if hard else a0) * (y - p) ** 2 * entropy, rel=1e-5)
    by_beta = SoftFocalLoss((a0, a1), soft_beta='threshold')(logit, target)
    expected = (a0 + y * (a1 - a0)) * (hard - p) ** 2 * entropy
    assert float(by_beta) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_extreme_logits_stay_finite(dtype):
    logits = torch.tensor([-80.0, 80, 0, -80, 80, 0], dtype=dtype, requires_grad=True)
    targets = torch.tensor([0.0, 1, 0.5, 1, 0, 0.3])
    loss = SoftFocalLoss(reduction='sum')(logits, targets)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()
    assert loss.dtype == torch.float32


def test_gradient_against_float64_differences():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.rand(8, 3, generator=generator, dtype=torch.float64)
    for options in ({}, dict(soft_alpha='linear', soft_beta='linear'), dict(gamma=0.0)):
        loss = SoftFocalLoss(reduction='sum', **options)
        assert torch.autograd.gradcheck(lambda x, f=loss: f(x, targets), (logits,))


def test_weights_and_reduction():
    logits, targets = torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)
    one = 0.05 * 0.25 * math.log(2)  # a0 * 0.5^2 * log 2
    loss = SoftFocalLoss(loss_weight=2.0)
    assert float(loss(logits, targets)) == pytest.approx(2 * one)
    weight = torch.tensor([[1.0, 0.0]])  # one of two anchors is ignored, both its classes
    assert float(loss(logits, targets, weight, avg_factor=4)) == pytest.approx(2 * one * 2 / 4)
    assert loss(logits, targets, reduction_override='none').shape == (1, 2, 2)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(alpha=(-1, 1)), 'alpha'),
        (dict(gamma=0.5), 'gamma'),
        (dict(soft_alpha='hard'), 'soft_alpha'),
        (dict(soft_alpha='linear'), 'both'),
    ],
)
def test_nonsense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SoftFocalLoss(**arguments)


def test_without_alpha_and_gamma_it_is_cross_entropy():
    logits = torch.tensor([-80.0, -3, 0, 0, 0.4, 50], requires_grad=True)
    targets = torch.tensor([0.0, 0.2, 0.5, 1, 0.7, 0])  # the third is at p = y
    ours = SoftFocalLoss(alpha=(1, 1), gamma=0)(logits, targets)
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    assert torch.equal(ours, theirs)
    grads = [torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*grads)


def test_squared_error_by_hand():
    # p = 0.8, 0.5 and targets 0.3, 1: (0.5)^2 = 0.25 twice; gradient 2 (p - y) p (1 - p).
    logits = torch.tensor([[[math.log(4.0)], [0.0]]], requires_grad=True)
    targets, loss = torch.tensor([[[0.3], [1.0]]]), SoftSquaredErrorLoss(loss_weight=2.0)
    total = loss(logits, targets, torch.tensor([[1.0, 0.5]]), avg_factor=5)
    assert float(total) == pytest.approx(2 * 0.25 * 1.5 / 5)
    total.backward()
    expected = [2 * 2 * 0.5 * 0.16 / 5, 2 * 2 * -0.5 * 0.25 * 0.5 / 5]
    assert logits.grad.flatten().tolist() == pytest.approx(expected)
    assert float(loss(logits, targets)) == pytest.approx(2 * 0.25)
    assert loss(logits, targets, reduction_override='none').shape == (1, 2, 1)


def test_squared_error_of_half_precision_logits():
    logits = torch.tensor([-80.0, 80.0], dtype=torch.float16)
    loss = SoftSquaredErrorLoss(reduction='sum')(logits, torch.tensor([1.0, 1.0]))
    assert loss.dtype == torch.float32 and float(loss) == 1


def test_iou_loss_by_hand():
    # Two cubes of 8 sharing half: IoU 4/12. Their hull is 3 x 2 x 2 = 12, so GIoU = IoU.
    a, b = torch.tensor([[0.0, 0, 0, 2, 2, 2]]), torch.tensor([[1.0, 0, 0, 3, 2, 2]])
    for mode in ('iou', 'giou'):
        assert float(BoxIoU3DLoss(mode)(a, b)) == pytest.approx(1 - 4 / 12)
    apart = torch.tensor([[4.0, 0, 0, 6, 2, 2]])  # hull 6 x 2 x 2, union 16 of 24
    assert float(BoxIoU3DLoss('iou')(a, apart)) == 1
    assert float(BoxIoU3DLoss('giou')(a, apart)) == pytest.approx(1 + 8 / 24)
    assert float(BoxIoU3DLoss()(a, a, torch.full((1, 6), 0.5), avg_factor=1)) == 0


def test_giou_moves_boxes_that_do_not_touch():
    pred = torch.tensor([[0.0, 0, 0, 2, 2, 2]], requires_grad=True)
    BoxIoU3DLoss('giou')(pred, torch.tensor([[4.0, 0, 0, 6, 2, 2]])).backward()
    assert pred.grad[0, 3] < 0  # a larger z2 lowers the loss
    assert np.isfinite(pred.grad.numpy()).all()


def test_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="'diou'"):
        BoxIoU3DLoss('diou')
