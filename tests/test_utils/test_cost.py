"""Costs by hand, and those on the meta device against those of passes that are run."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.utils.cost import (
    PassCost,
    count_passes,
    forward_cost,
    training_cost,
)

VOXELS = 8**3
SHAPE = (1, 2, 8, 8, 8)


class Layers(nn.Module):
    """Layers as a backbone, and a head that does nothing."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.bbox_head = nn.Identity()
        self.bbox_head.flatten = lambda outs: (outs.flatten(2), outs.new_zeros(0))

    def extract_feat(self, inputs):
        return self.layers(inputs)


class Enlarge(nn.Module):
    """As a feature pyramid does."""

    def forward(self, x):
        return F.interpolate(x, scale_factor=2)


def conv(inputs, outputs, size=3):
    return nn.Conv3d(inputs, outputs, size, padding=size // 2, bias=False)


def test_one_convolution():
    """2 FLOPs for each of 27 * 2 * 4 weights and each voxel, the same for the weights' gradient."""
    network = Layers(conv(2, 4))
    forward = 2 * 27 * 2 * 4 * VOXELS
    cost = forward_cost(network, SHAPE)
    inputs, weights, outputs = 4 * 2 * VOXELS, 4 * 27 * 2 * 4, 4 * 4 * VOXELS
    assert cost == PassCost(outputs, outputs, ((forward, inputs + weights + outputs),))
    trained = training_cost(network, SHAPE)  # inputs need no gradient
    assert trained.flops == 2 * forward and trained.kept == outputs
    assert trained.peak == outputs + outputs + weights  # the last two are gradients


def test_what_the_backward_pass_needs_is_kept():
    """Rectified in place: one map is input of the second convolution and output of the first."""
    network = Layers(conv(2, 4), nn.ReLU(inplace=True), conv(4, 8), nn.ReLU())
    first, second = 4 * 4 * VOXELS, 4 * 8 * VOXELS
    assert training_cost(network, SHAPE).kept == first + second  # the input of the last is not
    plain = forward_cost(network, SHAPE)
    assert plain.kept == second and plain.peak == max(first + second, 2 * second)
    with_gradient = Layers(conv(2, 4), nn.BatchNorm3d(4))
    saved = 2 * 4 * 4  # means and deviations
    assert training_cost(with_gradient, SHAPE).kept == 2 * first + saved


def test_recomputed_stages_keep_less(small_detector):
    cfg = small_detector()
    plain = MODELS.build(cfg)
    cfg['backbone']['with_cp'] = True
    saving = MODELS.build(cfg)
    shape = (1, 1, 32, 32, 32)
    assert training_cost(saving, shape).kept < 0.85 * training_cost(plain, shape).kept
    assert training_cost(saving, shape).flops > training_cost(plain, shape).flops


def test_recomputed_activations_keep_less(small_detector):
    """Half of the maps where convolution, normalization and ReLU follow each other."""
    parts = small_detector()
    parts['bbox_head'].update(norm_cfg=dict(type='GN', num_groups=2), stacked_convs=4)
    parts['backbone'].update(norm_cfg=dict(type='BN3d'))
    plain, saving = (MODELS.build(dict(parts, recompute_activations=on)) for on in (False, True))
    shape = (1, 1, 32, 32, 32)
    for amp in (False, True):
        whole, less = (training_cost(model, shape, amp) for model in (plain, saving))
        assert less.kept < 0.7 * whole.kept and less.peak < 0.9 * whole.peak
        assert less.flops == whole.flops
    assert count_passes(saving.train(), shape) == training_cost(saving, shape)


@pytest.mark.parametrize('gradient', [True, False])
def test_meta_tensors_cost_what_real_ones_do(small_detector, gradient):
    detector = MODELS.build(small_detector())
    with torch.set_grad_enabled(gradient):
        ran = count_passes(detector, (2, 1, 16, 24, 16))
    counted = (training_cost if gradient else forward_cost)(detector, (2, 1, 16, 24, 16))
    assert counted == ran and counted.flops > 0
    assert all(weight.device.type == 'cpu' for weight in detector.parameters())
    assert detector.training


def test_types_of_mixed_precision():
    """Against torch's own autocast, which for these layers does the same on CPUs."""
    layers = conv(2, 4), nn.BatchNorm3d(4), nn.ReLU(), conv(4, 4, size=1), nn.BatchNorm3d(4)
    with torch.autocast('cpu', torch.bfloat16, cache_enabled=False):
        ran = count_passes(Layers(*layers), SHAPE)
    counted = training_cost(Layers(*layers), SHAPE, amp=True)
    assert (counted.kept, counted.peak) == (ran.kept, ran.peak)
    assert sorted(counted.operations) == sorted(ran.operations)
    assert counted.kept < training_cost(Layers(*layers), SHAPE).kept


def test_what_is_float32_in_mixed_precision_on_gpus():
    values, statistics = 4 * VOXELS, 2 * 2 * 4
    norm = Layers(conv(2, 4), nn.GroupNorm(2, 4))
    assert training_cost(norm, SHAPE).kept == 4 * 2 * values + statistics
    half = 2 * (2 * VOXELS + 27 * 2 * 4)  # the convolution's input and weights in 16 bits
    assert training_cost(norm, SHAPE, amp=True).kept == 4 * 2 * values + statistics + half
    assert forward_cost(Layers(conv(2, 4)), SHAPE, amp=True).kept == 2 * values
    assert forward_cost(Layers(conv(2, 4), Enlarge()), SHAPE, amp=True).kept == 4 * 8 * values


def test_recomputing_saves_memory_in_mixed_precision_too():
    class Recomputed(nn.Sequential):
        def forward(self, x):
            return checkpoint(super().forward, x, use_reentrant=False)

    layers = conv(4, 4), nn.GroupNorm(2, 4), conv(4, 4), nn.ReLU(), conv(4, 4)
    for amp in (False, True):
        plain = training_cost(Layers(conv(2, 4), nn.Sequential(*layers)), SHAPE, amp)
        again = training_cost(Layers(conv(2, 4), Recomputed(*layers)), SHAPE, amp)
        assert again.kept < plain.kept
        forward = 2 * 27 * 4 * 4 * VOXELS
        assert 2 * forward <= again.flops - plain.flops <= 3 * forward  # the last is not needed


def test_the_slower_of_arithmetic_and_memory_counts():
    cost = PassCost(0, 0, ((100, 10), (0, 40), (50, 5)))
    assert cost.flops == 150
    assert cost.seconds(flops_per_second=10, bytes_per_second=2) == 10 + 20 + 5
    assert cost.seconds(flops_per_second=100, bytes_per_second=1) == 10 + 40 + 5


def test_costs_of_two_patches_are_twice_those_of_one(small_detector):
    detector = MODELS.build(small_detector())
    one, two = (training_cost(detector, (n, 1, 16, 16, 16)) for n in (1, 2))
    assert two.flops == 2 * one.flops and two.kept == 2 * one.kept
