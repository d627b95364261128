"""Winograd's filtering computes what PyTorch's convolution does."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmdet3d_medical.models.layers import WinogradConv3d, use_winograd, winograd_conv3d
from mmdet3d_medical.models.layers.winograd_conv3d import OUTPUTS, TAPS, VOXELS


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(winograd_conv3d, 'pays_off', lambda channels, shape: True)


def both(inputs, weight, bias, grad):
    """Output and gradients of all three by Winograd, and by PyTorch in double precision."""
    results = []
    for function, dtype in (
        (winograd_conv3d._Winograd.apply, torch.float32),
        (lambda x, w, b: F.conv3d(x, w, b, padding=1), torch.float64),
    ):
        parts = [part.to(dtype).requires_grad_() for part in (inputs, weight, bias)]
        out = function(*parts)
        results.append((out, *torch.autograd.grad(out, parts, grad.to(dtype))))
    return results


def test_the_transforms_filter_a_line():
    """Outputs of six voxels and three taps, worked out by hand: 1 * 1 + 2 * 10 + 3 * 100, ..."""
    voxels, taps = torch.tensor([1.0, 2, 3, 4, 5, 6]), torch.tensor([1.0, 10, 100])
    found = OUTPUTS @ ((VOXELS @ voxels) * (TAPS @ taps))
    torch.testing.assert_close(found, torch.tensor([321.0, 432, 543, 654]))


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 11)] * 3), batch=st.integers(1, 2),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)), seed=st.integers(0, 99),
    chunk=st.sampled_from([1, 4, 128]), last=st.booleans(),
)  # fmt: skip
def test_any_shape(shape, batch, channels, seed, chunk, last):
    rng = torch.Generator().manual_seed(seed)
    inputs = torch.randn(batch, channels[0], *shape, generator=rng)
    weight = torch.randn(channels[1], channels[0], 3, 3, 3, generator=rng)
    grad = torch.randn(batch, channels[1], *shape, generator=rng)
    if last:
        inputs = inputs.to(memory_format=torch.channels_last_3d)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd_conv3d, 'CHUNK', chunk)
        found, expected = both(inputs, weight, torch.randn(channels[1], generator=rng), grad)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-3)


def test_rounding_of_a_wide_layer_is_as_stated():
    torch.manual_seed(0)
    inputs, weight = torch.randn(1, 64, 16, 16, 16), torch.randn(64, 64, 3, 3, 3)
    results = both(inputs, weight, torch.randn(64), torch.randn(inputs.shape))
    for ours, theirs in zip(*results, strict=True):
        assert (ours - theirs).abs().max() < 3e-5 * theirs.std()


def test_what_needs_no_gradient_gets_none(always):
    layer = WinogradConv3d(2, 3, 3, padding=1)
    layer.weight.requires_grad_(False)
    inputs = torch.randn(1, 2, 5, 5, 5, requires_grad=True)
    layer(inputs).sum().backward()
    assert layer.weight.grad is None
    assert inputs.grad.shape == inputs.shape


def test_convolutions_are_replaced_and_their_parameters_stay(always):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv3d(2, 4, 3, padding=1), nn.Conv3d(4, 4, 3, stride=2, padding=1),
        nn.Sequential(nn.Conv3d(4, 4, 3, padding=1, bias=False), nn.Conv3d(4, 2, 1)),
        nn.Conv3d(2, 2, 3, padding=1, groups=2), nn.Conv3d(2, 2, 3, padding=2, dilation=2),
        nn.Conv3d(2, 2, 3, padding=1, padding_mode='circular'),
    )  # fmt: skip
    other = copy.deepcopy(net)
    parameters = dict(other.named_parameters())
    use_winograd(other)
    replaced = [name for name, part in other.named_modules() if isinstance(part, WinogradConv3d)]
    assert replaced == ['0', '2.0']
    assert all(value is parameters[name] for name, value in other.named_parameters())
    inputs = torch.randn(2, 2, 9, 6, 7)
    torch.testing.assert_close(other(inputs), net(inputs), rtol=1e-4, atol=1e-5)


def test_its_output_may_be_changed_in_place(always):
    layer, inputs = WinogradConv3d(2, 3, 3, padding=1), torch.randn(1, 2, 5, 5, 5)
    expected = F.conv3d(inputs, layer.weight, layer.bias, padding=1).relu()
    torch.testing.assert_close(layer(inputs).relu_(), expected, rtol=1e-4, atol=1e-5)


def test_no_patches(always):
    layer, inputs = WinogradConv3d(2, 3, 3, padding=1), torch.empty(0, 2, 5, 5, 5)
    out = layer(inputs.requires_grad_())
    out.sum().backward()
    assert out.shape == (0, 3, 5, 5, 5) and inputs.grad.shape == inputs.shape
    assert not layer.weight.grad.any() and not layer.bias.grad.any()


def test_one_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r'only 3\^3.*found .*Conv3d.*stride=\(2, 2, 2\)'):
        WinogradConv3d.of(nn.Conv3d(2, 2, 3, stride=2, padding=1))


@pytest.mark.parametrize(('channels', 'shape', 'taken'), [
    ((64, 64), (13, 13, 13), True), ((64, 63), (13, 13, 13), False),
    ((63, 64), (13, 13, 13), False), ((64, 64), (12, 12, 12), False),  # 27 tiles
    ((320, 64), (13, 13, 13), False), ((256, 256), (16, 16, 16), True),
    ((64, 64), (2, 64, 64), False), ((64, 64), (3, 64, 64), True),  # half of the tiles is empty
    ((64, 64), (4, 128, 128), True), ((64, 64), (4, 128, 132), False),
])  # fmt: skip
def test_where_it_does_not_pay_it_is_left_to_the_library(channels, shape, taken):
    layer = WinogradConv3d(*channels, 3, padding=1, device='meta').to_empty(device='cpu')
    assert layer.is_faster(torch.empty(1, channels[0], *shape)) == taken


def test_a_single_map_without_batch(always):
    layer, inputs = WinogradConv3d(2, 3, 3, padding=1), torch.randn(2, 4, 4, 4)
    assert torch.equal(layer(inputs), F.conv3d(inputs, layer.weight, layer.bias, padding=1))


def test_gradients_within_autocast(always):
    layer, inputs = WinogradConv3d(2, 3, 3, padding=1), torch.randn(1, 2, 5, 5, 5)
    out = layer(inputs)
    with torch.autocast('cpu', torch.bfloat16):
        found = torch.autograd.grad(out.sum(), layer.weight)[0]
    expected = torch.autograd.grad(layer(inputs).sum(), layer.weight)[0]
    assert torch.equal(found, expected)


def test_what_does_more_than_a_convolution_is_not_replaced():
    class Scaled(nn.Conv3d):
        def forward(self, x):
            return 2 * super().forward(x)

    normed = nn.utils.parametrizations.spectral_norm(nn.Conv3d(2, 2, 3, padding=1))
    hooked = nn.Conv3d(2, 2, 3, padding=1)
    hooked.register_forward_hook(lambda module, inputs, out: 2 * out)
    net = nn.Sequential(Scaled(2, 2, 3, padding=1), normed, hooked)
    use_winograd(net)
    assert not any(isinstance(part, WinogradConv3d) for part in net.modules())


def test_other_precisions_and_devices_are_left_to_the_library(always):
    layer = WinogradConv3d(2, 2, 3, padding=1)
    inputs = torch.randn(1, 2, 4, 4, 4)
    assert layer.is_faster(inputs)
    assert not layer.is_faster(inputs.to('meta'))
    assert layer(inputs.to('cpu')).dtype == torch.float32
    with torch.autocast('cpu', torch.bfloat16):
        assert not layer.is_faster(inputs)
        assert layer(inputs).dtype == torch.bfloat16
    double = layer.double()
    assert not double.is_faster(inputs.double())
    assert double(inputs.double()).dtype == torch.float64


def test_matrices_are_those_of_exact_arithmetic():
    """Sum over places of output * tap * voxel is 1 where voxel = output + tap, else 0."""
    matrices = (part.double().numpy() for part in (OUTPUTS, TAPS, VOXELS))
    product = np.einsum('op,pt,pv->otv', *matrices)
    o, t, v = np.indices(product.shape)
    np.testing.assert_allclose(product, v == o + t, atol=1e-6)
