"""Recomputing activations changes what is kept, and nothing else."""

import copy
import gc

import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmdet3d_medical.models.layers import RecomputedConvModule, recompute_activations, recomputing

GN, BN, IN = dict(type='GN', num_groups=2), dict(type='BN3d'), dict(type='IN3d')
RELU, LEAKY = dict(type='ReLU'), dict(type='LeakyReLU', negative_slope=0.1)


def network(norm=GN, act=RELU, width=4):
    """Two modules of which results follow from what is kept, one without normalization, one
    convolution."""
    torch.manual_seed(0)
    part = dict(conv_cfg=dict(type='Conv3d'), act_cfg=act, padding=1)
    net = nn.Sequential(
        ConvModule(1, width, 3, norm_cfg=norm, **part),
        ConvModule(width, width, 3, norm_cfg=norm, **part),
        ConvModule(width, width, 3, norm_cfg=None, **part),
        nn.Conv3d(width, 2, 1),
    )
    for weight in net.parameters():
        nn.init.normal_(weight, std=0.3)
    return net


def recomputed(net):
    net = copy.deepcopy(net)
    recompute_activations(net)
    return net


def passes(net, inputs):
    """Output, and gradients of input and weights."""
    inputs = inputs.clone().requires_grad_()
    trained = [inputs, *(weight for weight in net.parameters() if weight.requires_grad)]
    with recomputing(net):
        out = net(inputs)
    return out, *torch.autograd.grad(out.float().square().sum(), trained)


@pytest.mark.parametrize('norm', [GN, BN, IN], ids=lambda norm: norm['type'])
@pytest.mark.parametrize('act', [RELU, LEAKY], ids=lambda act: act['type'])
@pytest.mark.parametrize('training', [True, False], ids=['train', 'eval'])
def test_outputs_gradients_and_statistics_are_the_same(norm, act, training):
    plain = network(norm, act).train(training)
    other = recomputed(plain)
    assert other[0].can_recompute and not other[2].can_recompute
    inputs = torch.randn(2, 1, 5, 6, 7)
    for ours, theirs in zip(passes(other, inputs), passes(plain, inputs), strict=True):
        assert torch.equal(ours, theirs)
    assert all(map(torch.equal, other.buffers(), plain.buffers()))


@pytest.mark.parametrize('norm', [GN, BN], ids=lambda norm: norm['type'])
def test_mixed_precision(norm):
    plain = network(norm)
    other = recomputed(plain)
    inputs = torch.randn(2, 1, 5, 6, 7)
    with torch.autocast('cpu', torch.bfloat16):
        assert other[0](inputs).dtype == torch.bfloat16
        out, *grads = passes(other, inputs)
        expected_out, *expected = passes(plain, inputs)
    assert torch.equal(out, expected_out)
    for ours, theirs in zip(grads, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02 * float(theirs.abs().max()))


def test_frozen_weights_and_double_precision():
    plain = network().double()
    plain[0].requires_grad_(False)
    plain[1].gn.weight.requires_grad_(False)
    inputs = torch.randn(2, 1, 4, 4, 4).double()
    for ours, theirs in zip(passes(recomputed(plain), inputs), passes(plain, inputs), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.dtype == torch.float64


def test_a_graph_may_be_used_twice():
    net = recomputed(network())
    with recomputing(net):
        loss = net(torch.randn(1, 1, 4, 4, 4)).square().sum()
    first = torch.autograd.grad(loss, net.parameters(), retain_graph=True)
    assert all(map(torch.equal, first, torch.autograd.grad(loss, net.parameters())))


class Changed(nn.Sequential):
    """A convolution of the first part's result + 1."""

    in_place = False

    def forward(self, x):
        result = self[0](x)
        return self[1](result.add_(1.0) if self.in_place else result + 1.0)


def test_a_result_that_is_changed_in_place_is_kept():
    plain = Changed(network()[0], nn.Conv3d(4, 2, 3))
    other, inputs = recomputed(plain), torch.randn(1, 1, 5, 5, 5)
    other.in_place = True
    for ours, theirs in zip(passes(other, inputs), passes(plain, inputs), strict=True):
        assert torch.equal(ours, theirs)


@pytest.fixture
def without_garbage_collection():
    gc.disable()
    yield
    gc.enable()


def test_results_are_not_kept_and_nothing_outlives_the_loss(without_garbage_collection, watch):
    plain, inputs = network(), torch.randn(1, 1, 4, 4, 4)
    for net, kept in ((plain, [True] * 4), (recomputed(plain), [True, False] * 2)):
        alive = watch(net[0].conv, net[0], net[1].conv, net[1])
        with recomputing(net):
            loss = net(inputs).sum()
        assert alive() == kept
        loss.backward()
        assert alive() == [False] * 4
        del loss
        with recomputing(net):
            net(inputs)
        assert alive() == [False] * 8


@pytest.mark.parametrize('training', [True, False], ids=['train', 'eval'])
def test_the_mode_is_that_of_the_forward_pass(training):
    plain, inputs = network(BN).train(training), torch.linspace(-1, 1, 64).view(1, 1, 4, 4, 4)
    nn.init.uniform_(plain[0].bn.running_mean)
    net = recomputed(plain)
    with recomputing(net):
        loss = net(inputs).square().sum()
    net.train(not training)
    with torch.no_grad():
        net(torch.ones(1, 1, 4, 4, 4))  # changes running statistics, or not
    expected = torch.autograd.grad(plain(inputs).square().sum(), plain.parameters())
    assert all(map(torch.equal, torch.autograd.grad(loss, net.parameters()), expected))


def test_what_was_changed_meanwhile_is_noticed():
    net = recomputed(network())
    for part in (net[0].conv, net[0].gn, net[3]):
        with recomputing(net):
            loss = net(torch.randn(1, 1, 4, 4, 4, requires_grad=True)).square().sum()
        with torch.no_grad():
            part.weight.add_(1.0)
        with pytest.raises(RuntimeError, match='modified by an inplace operation'):
            loss.backward()


def test_a_change_without_gradient_is_noticed():
    net = recomputed(network())
    with recomputing(net):
        result = net[0](torch.randn(1, 1, 4, 4, 4))
        out = net[1](result.clone())
        with torch.no_grad():
            result.mul_(2.0)
        again = net[3](result)
    torch.testing.assert_close(
        torch.autograd.grad(again.sum(), net[3].weight)[0].flatten(),
        result.sum((0, 2, 3, 4)).repeat(2),
    )
    assert out.requires_grad


def test_nothing_to_train():
    plain = network().requires_grad_(False)
    net, inputs = recomputed(plain), torch.randn(1, 1, 4, 4, 4)
    with recomputing(net):
        assert torch.equal(net(inputs), plain(inputs))


@pytest.mark.parametrize('norm', [GN, BN, IN], ids=lambda norm: norm['type'])
def test_weights_in_low_precision(norm):
    plain = network(norm).bfloat16()
    inputs = torch.randn(2, 1, 4, 4, 4).bfloat16()
    for ours, theirs in zip(passes(recomputed(plain), inputs), passes(plain, inputs), strict=True):
        assert ours.dtype == torch.bfloat16
        torch.testing.assert_close(ours, theirs)


def hooked(part):
    part.bn.register_forward_hook(lambda module, inputs, out: 2 * out)
    return part


def module(**options):
    torch.manual_seed(0)
    options = dict(norm_cfg=BN, conv_cfg=dict(type='Conv3d'), padding=1) | options
    return ConvModule(2, 2, 3, **options)


@pytest.mark.parametrize('plain', [
    module(order=('norm', 'conv', 'act')),
    module(act_cfg=None),
    module(act_cfg=dict(type='Sigmoid')),
    module(norm_cfg=dict(type='IN3d', track_running_stats=True)),
    hooked(module()),
], ids=['order', 'no activation', 'sigmoid', 'tracked', 'hooked'])  # fmt: skip
def test_what_cannot_be_recomputed_is_left_alone(plain):
    other, inputs = recomputed(nn.Sequential(plain)), torch.randn(2, 2, 4, 4, 4)
    assert not other[0].can_recompute
    for ours, theirs in zip(passes(other, inputs), passes(plain, inputs), strict=True):
        assert torch.equal(ours, theirs)


def test_hooks_of_weights_run_once():
    net, calls = recomputed(network()), []
    net[0].gn.weight.register_hook(calls.append)
    with recomputing(net):
        net(torch.randn(1, 1, 4, 4, 4)).sum().backward()
    assert len(calls) == 1


def test_synchronized_batch_normalization_is_left_alone():
    net = recomputed(network(BN))
    net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert isinstance(net[0], RecomputedConvModule) and not net[0].can_recompute


def test_parts_may_be_switched_off():
    plain = network()[0]
    other, inputs = recomputed(nn.Sequential(plain))[0], torch.randn(1, 1, 4, 4, 4)
    for options in (dict(activate=False), dict(norm=False), dict(activate=False, norm=False)):
        assert torch.equal(other(inputs, **options), plain(inputs, **options))
