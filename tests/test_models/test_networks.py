"""Backbones and necks; every registered backbone under the same head."""

import pytest
import torch

from mmdet3d_medical.models.backbones import PlainConvEncoder3D, ResNet3D
from mmdet3d_medical.models.detectors import DenseDetector3D
from mmdet3d_medical.models.necks import FPN3D
from mmdet3d_medical.registry import MODELS

GN = dict(type='GN', num_groups=2)
_DEEPLUNG = dict(
    stem_channels=2,
    channels=(4, 4, 4, 4),
    decoder_channels=(4, 4),
    strides=(2, 1, 2, 2),
    location=False,
)
BACKBONES = {
    'DeepLungDPN26': dict(_DEEPLUNG, dense_channels=1, num_groups=2),
    'DeepLungRes18': _DEEPLUNG,
    'MONAIEncoder': dict(
        name='BasicUNet',
        args=dict(spatial_dims=3, in_channels=1, out_channels=1, features=(4, 4, 8, 8, 8, 4)),
        out_modules=('down_1', 'down_2', 'down_3'),
    ),
    'PlainConvEncoder3D': dict(base_channels=2, strides=(1, 2, 2, 2), out_indices=(1, 2, 3)),
    'S4NDNet': dict(growth_channels=(2, 2), num_convs=2, pools=((2, 2, 2),)),
    'ResNet3D': dict(depth=18, base_channels=4, strides=(1, 2, 2), out_indices=(0, 1, 2)),
}


def registered_backbones() -> list[str]:
    modules = MODELS.module_dict.items()
    return [name for name, cls in modules if '.models.backbones.' in cls.__module__]


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize('depth', [18, 34, 50, 101, 152])
def test_shapes_of_every_depth(depth):
    net = ResNet3D(depth, base_channels=2, norm_cfg=GN).eval()
    maps = net(torch.zeros(1, 1, 33, 32, 16))
    wide = 1 if depth < 50 else 4
    assert [tuple(x.shape[1:]) for x in maps] == [
        (2 * wide, 17, 16, 8),
        (4 * wide, 9, 8, 4),
        (8 * wide, 5, 4, 2),
        (16 * wide, 3, 2, 1),
    ]
    assert net.out_channels == [2 * wide, 4 * wide, 8 * wide, 16 * wide]


def test_parameters_of_resnet18_by_hand():
    # Stem 7^3 * 64; stages of 4 convolutions 3^3; shortcuts 1^3; two numbers per channel of
    # batch normalization: 64 + 4 (64 + 128 + 256 + 512) + shortcuts 128 + 256 + 512.
    convolutions = 7**3 * 64 + 27 * (
        4 * 64**2 + (64 * 128 + 3 * 128**2) + (128 * 256 + 3 * 256**2) + (256 * 512 + 3 * 512**2)
    )
    shortcuts = 64 * 128 + 128 * 256 + 256 * 512
    norms = 2 * (64 + 4 * (64 + 128 + 256 + 512) + 128 + 256 + 512)
    assert count(ResNet3D(18)) == convolutions + shortcuts + norms


def test_parameters_of_resnext_by_hand():
    """32x4d: the middle convolutions are 128 and 256 wide and see 4 and 8 channels each."""

    def block(inputs: int, inner: int, outputs: int) -> int:
        convolutions = inputs * inner + 27 * inner * inner // 32 + inner * outputs
        return convolutions + 2 * (2 * inner + outputs)

    def shortcut(inputs: int, outputs: int) -> int:
        return inputs * outputs + 2 * outputs

    stem = 7**3 * 64 + 2 * 64
    first = block(64, 128, 256) + shortcut(64, 256) + 2 * block(256, 128, 256)
    second = block(256, 256, 512) + shortcut(256, 512) + 3 * block(512, 256, 512)
    net = ResNet3D(101, strides=(1, 2), out_indices=(1,), num_groups=32, group_channels=4)
    assert count(net) == stem + first + second


def test_groups_share_a_stage_without_group_channels():
    net = ResNet3D(50, base_channels=8, strides=(1,), out_indices=(0,), num_groups=4)
    assert net.stages[0][0].body[1].conv.weight.shape == (8, 2, 3, 3, 3)


def test_strides_per_axis_and_stem_output():
    net = ResNet3D(
        18,
        base_channels=2,
        stem_kernel=(1, 3, 3),
        stem_stride=(1, 2, 2),
        strides=((1, 2, 2), 2),
        out_indices=(-1, 1),
        norm_cfg=None,
    )
    shapes = [tuple(x.shape[2:]) for x in net(torch.zeros(1, 1, 8, 16, 16))]
    assert shapes == [(8, 8, 8), (4, 2, 2)]


def test_pooled_stem_halves_once_more():
    net = ResNet3D(18, base_channels=2, stem_pool=True, strides=(1,), out_indices=(0,))
    assert net(torch.zeros(2, 1, 16, 16, 16))[0].shape == (2, 2, 4, 4, 4)


def test_recomputing_gives_the_same_gradients():
    torch.manual_seed(0)
    plain = ResNet3D(18, base_channels=2, strides=(1, 2), out_indices=(1,), norm_cfg=GN)
    again = ResNet3D(
        18, base_channels=2, strides=(1, 2), out_indices=(1,), norm_cfg=GN, with_cp=True
    )
    again.load_state_dict(plain.state_dict())
    x = torch.randn(1, 1, 8, 8, 8)
    for net in (plain, again):
        net(x)[0].square().sum().backward()
    pairs = zip(plain.parameters(), again.parameters(), strict=True)
    assert all(torch.allclose(a.grad, b.grad) for a, b in pairs)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(depth=20), 'depth must be one of'),
        (dict(depth=18, strides=(1,) * 5), '1 to 4 stages'),
        (dict(depth=18, out_indices=(4,)), 'out_indices'),
        (dict(depth=18, stem_kernel=4), 'odd'),
        (dict(depth=34, num_groups=2), 'needs bottlenecks'),
        (dict(depth=18, strides=((1, 2), 2), out_indices=(0,)), 'one number or three'),
    ],
)
def test_impossible_backbones_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ResNet3D(**arguments)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(strides=()), 'at least one stage'),
        (dict(num_blocks=(2, 2)), 'num_blocks'),
        (dict(num_blocks=0), 'at least one block'),
        (dict(out_indices=(5,)), 'out_indices must lie in 0 .. 4'),
        (dict(strides=((1, 2), 2), out_indices=(0,)), 'one number or three'),
    ],
)
def test_impossible_plain_encoders_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PlainConvEncoder3D(**arguments)


def test_plain_encoder_by_hand():
    net = PlainConvEncoder3D(
        in_channels=2,
        base_channels=4,
        max_channels=10,
        strides=(1, (1, 2, 2), 2),
        num_blocks=(1, 3, 2),
        out_indices=(2, 0),
    ).eval()
    # Widths 4, 8 and 10, the cap in the place of 16; two numbers per channel of normalization.
    convolutions = 27 * (2 * 4 + (4 * 8 + 2 * 8 * 8) + (8 * 10 + 10 * 10))
    assert count(net) == convolutions + 2 * (4 + 3 * 8 + 2 * 10)
    maps = net(torch.zeros(1, 2, 5, 9, 8))
    assert [tuple(x.shape) for x in maps] == [(1, 10, 3, 3, 2), (1, 4, 5, 9, 8)]
    assert net.out_channels == [10, 4]


def test_a_plain_stage_is_convolution_normalization_and_leaky_relu():
    torch.manual_seed(0)
    net = PlainConvEncoder3D(base_channels=3, strides=(2,), num_blocks=1, out_indices=(0,))
    x = 5 + torch.randn(2, 1, 6, 6, 6)
    conv = net.stages[0][0].conv
    assert conv.bias is None
    y = torch.nn.functional.conv3d(x, conv.weight, stride=2, padding=1)
    variance, mean = torch.var_mean(y, (2, 3, 4), correction=0, keepdim=True)
    y = (y - mean) / (variance + 1e-5) ** 0.5
    torch.testing.assert_close(net(x)[0], torch.where(y > 0, y, 0.01 * y))
    # Statistics are of one patch: another one beside it changes nothing.
    torch.testing.assert_close(net(x[:1])[0], net(x)[0][:1])


def test_default_plain_encoder_is_as_wide_as_nnunet():
    net = PlainConvEncoder3D(strides=(1, 2, 2, 2, 2, 2), out_indices=range(6))
    assert net.out_channels == [32, 64, 128, 256, 320, 320]


def test_pyramid_adds_coarse_to_fine():
    # Identity laterals and outputs: the finest level is the sum of all, upsampled.
    neck = FPN3D([1, 1], out_channels=1, num_outs=3)
    with torch.no_grad():
        for conv in (*neck.laterals, *neck.outputs):
            conv.conv.weight.zero_()
            middle = conv.conv.kernel_size[0] // 2
            conv.conv.weight[0, 0, middle, middle, middle] = 1
            conv.conv.bias.zero_()
    fine, coarse = torch.rand(1, 1, 5, 4, 4), torch.rand(1, 1, 3, 2, 2)
    outs = neck((fine, coarse))
    index = torch.tensor([0, 0, 1, 1, 2])  # nearest: floor(i * 3 / 5)
    enlarged = coarse[:, :, index][:, :, :, [0, 0, 1, 1]][..., [0, 0, 1, 1]]
    torch.testing.assert_close(outs[0], fine + enlarged)
    torch.testing.assert_close(outs[1], coarse)
    assert outs[2].shape == (1, 1, 2, 1, 1)


def test_pooled_levels_are_every_other_voxel():
    neck = FPN3D([2], out_channels=3, num_outs=3, extra='pool')
    fine, middle, coarse = neck([torch.randn(1, 2, 5, 4, 8)])
    assert torch.equal(middle, fine[:, :, ::2, ::2, ::2])
    assert torch.equal(coarse, middle[:, :, ::2, ::2, ::2])
    assert middle.min() < 0  # no ReLU between
    assert not list(neck.extras.parameters())


def test_impossible_necks_are_refused():
    with pytest.raises(ValueError, match='extra'):
        FPN3D([4, 8], 4, extra='none')
    with pytest.raises(ValueError, match='num_outs'):
        FPN3D([4, 8], 4, num_outs=1)
    with pytest.raises(ValueError, match='upsample'):
        FPN3D([4], 4, upsample='bicubic')


def test_every_registered_backbone_has_an_example():
    assert set(registered_backbones()) == set(BACKBONES)


@pytest.mark.parametrize('name', sorted(BACKBONES))
def test_backbone_under_the_same_head(name, small_detector, make_batch):
    if name == 'MONAIEncoder':
        pytest.importorskip('monai', reason='pip install monai')
    channels = MODELS.build(dict(type=name, **BACKBONES[name])).out_channels
    cfg = small_detector(
        backbone=dict(type=name, **BACKBONES[name]),
        neck=dict(type='FPN3D', in_channels=channels, out_channels=8, num_outs=3),
    )
    model = MODELS.build(cfg)
    assert isinstance(model, DenseDetector3D)
    batch = model.data_preprocessor(make_batch(2, (16, 16, 16)))
    sum(model(**batch, mode='loss').values()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert len(model.eval()(**batch, mode='predict')) == 2
