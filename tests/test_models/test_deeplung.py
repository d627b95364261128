"""Networks of DeepLung and DeepSEED: their sizes, and what each part computes."""

import pytest
import torch
from torch.nn import functional as F

from mmdet3d_medical.models.backbones import DeepLungDPN26, DeepLungRes18
from mmdet3d_medical.models.backbones.deeplung import (
    DualPathBlock,
    ResidualBlock,
    SqueezeExcitation,
)

SMALL = dict(stem_channels=2, channels=(4, 4, 4, 4), decoder_channels=(4, 6))
DPN = dict(SMALL, dense_channels=1, num_groups=2)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_of_residual_blocks_by_hand():
    # Two convolutions 3^3 and a shortcut 1^3, each with a bias and two numbers per channel of
    # normalization; the gate 64 -> 4 -> 64 with biases.
    body = 27 * 32 * 64 + 27 * 64 * 64 + 6 * 64
    norm = dict(type='BN3d')
    assert count(ResidualBlock(32, 64, None, norm)) == body + 32 * 64 + 3 * 64
    gate = 64 * 4 + 4 + 4 * 64 + 64
    assert count(ResidualBlock(32, 64, 16, norm)) == body + 32 * 64 + 3 * 64 + gate


def test_squeeze_and_excitation_by_hand():
    gate = SqueezeExcitation(2, reduction=2)
    with torch.no_grad():
        gate[1].weight.copy_(torch.tensor([1.0, 1.0]).view(1, 2, 1, 1, 1))
        gate[1].bias.zero_()
        gate[3].weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1, 1))
        gate[3].bias.zero_()
    x = torch.arange(16.0).view(1, 2, 2, 2, 2)  # means 3.5 and 11.5
    factor = torch.tensor([15.0, -15.0]).sigmoid().view(1, 2, 1, 1, 1)
    torch.testing.assert_close(gate(x), x * factor)


def test_a_dual_path_block_adds_and_appends():
    torch.manual_seed(0)
    block = DualPathBlock(7, 4, 1, 1, 2, first=False, norm_cfg=None)
    x = torch.randn(1, 7, 3, 3, 3)
    new = block.body(x)
    assert new.shape[1] == 5
    old = torch.cat([x[:, :4] + new[:, :4], x[:, 4:], new[:, 4:]], dim=1)
    torch.testing.assert_close(block(x), old.relu())


@pytest.mark.parametrize('kind', [DeepLungRes18, DeepLungDPN26])
@pytest.mark.parametrize(('strides', 'out'), [((2, 2, 2, 2), 4), ((2, 1, 2, 2), 2)])
def test_one_map_at_the_stride_of_the_second_stage(kind, strides, out):
    cfg = DPN if kind is DeepLungDPN26 else SMALL
    net = kind(strides=strides, **cfg).eval()
    (x,) = net(torch.randn(2, 4, 32, 16, 48))
    assert x.shape == (2, *net.out_channels, 32 // out, 16 // out, 48 // out)
    assert net.out_channels == [9 if kind is DeepLungDPN26 else 6]


@pytest.mark.parametrize(('kind', 'cfg'), [(DeepLungRes18, SMALL), (DeepLungDPN26, DPN)])
def test_the_position_enters_as_the_mean_of_each_cell(kind, cfg):
    torch.manual_seed(0)
    net = kind(**cfg).eval()
    image, place = torch.randn(1, 1, 16, 16, 16), torch.randn(1, 3, 16, 16, 16)
    (x,) = net(torch.cat([image, place], 1))
    coarse = F.interpolate(F.avg_pool3d(place, 4), scale_factor=4.0)
    torch.testing.assert_close(net(torch.cat([image, coarse], 1))[0], x)
    assert not torch.allclose(net(torch.cat([image, -place], 1))[0], x)
    assert count(kind(**cfg)) > count(kind(**cfg, location=False))


def test_what_does_not_fit_is_refused():
    net = DeepLungRes18(**SMALL)
    with pytest.raises(ValueError, match='LocationDataPreprocessor'):
        net(torch.zeros(1, 1, 16, 16, 16))
    with pytest.raises(ValueError, match='pad_size_divisor=16'):
        net(torch.zeros(1, 4, 24, 16, 16))
    with pytest.raises(ValueError, match='four strides'):
        DeepLungRes18(strides=(2, 2))
    with pytest.raises(ValueError, match='four stages and two decoders'):
        DeepLungDPN26(decoder_channels=(8, 8, 8))
