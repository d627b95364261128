"""MONAI's encoders as backbones, against passes through MONAI's own parts."""

import importlib
import sys
from copy import deepcopy

import pytest
import torch

from mmdet3d_medical.models.backbones import MONAIEncoder
from mmdet3d_medical.registry import MODELS

nets = pytest.importorskip('monai.networks.nets', reason='pip install monai')
pytest.importorskip('einops', reason='pip install einops')  # of MONAI's Swin and UNETR

DENSENET = dict(
    spatial_dims=3,
    in_channels=1,
    out_channels=1,
    init_features=8,
    growth_rate=4,
    block_config=(1, 2, 3, 1),
)
SENET = dict(spatial_dims=3, in_channels=1, num_classes=1, layers=(1, 1, 1, 1))
SWIN = dict(
    in_chans=1,
    embed_dim=12,
    window_size=(4, 4, 4),
    patch_size=(2, 2, 2),
    depths=(2, 2, 2, 2),
    num_heads=(1, 2, 2, 2),
)
UNET = dict(spatial_dims=3, in_channels=1, out_channels=1, features=(4, 4, 8, 8, 8, 4))
BLOCKS = [f'features.denseblock{number}' for number in (1, 2, 3)]


def densenet_maps(net, x):
    for name, part in net.features.named_children():
        x = part(x)
        if name in ('denseblock1', 'denseblock2', 'denseblock3'):
            yield x


def senet_maps(net, x):
    x = net.layer0(x)
    for part in (net.layer1, net.layer2, net.layer3):
        x = part(x)
        yield x


def swin_maps(net, x):
    return net(x, normalize=False)[1:4]


# Arguments, parts, a pass by hand and the channels of the maps. A dense block of n layers adds 4 n
# and a transition halves: 8 + 4 = 12, 6 + 8 = 14, 7 + 12 = 19. SE-ResNet-50: 4 times 64, 128, 256.
# Swin doubles 12.
ENCODERS = {
    'DenseNet121': (DENSENET, BLOCKS, densenet_maps, [12, 14, 19]),
    'SEResNet50': (SENET, ['layer1', 'layer2', 'layer3'], senet_maps, [256, 512, 1024]),
    'swin_unetr.SwinTransformer': (
        SWIN,
        ['layers1.0', 'layers2.0', 'layers3.0'],
        swin_maps,
        [24, 48, 96],
    ),
}
each_encoder = pytest.mark.parametrize('name', ENCODERS)


def whole_network(name: str) -> torch.nn.Module:
    module, _, cls = name.rpartition('.')
    space = importlib.import_module(f'monai.networks.nets.{module}') if module else nets
    torch.manual_seed(0)
    return getattr(space, cls)(**ENCODERS[name][0]).eval()


@each_encoder
@torch.no_grad()
def test_maps_are_those_of_monais_parts(name):
    args, parts, by_hand, channels = ENCODERS[name]
    encoder, whole = MONAIEncoder(name, args, parts).eval(), whole_network(name)
    lacking = encoder.network.load_state_dict(whole.state_dict(), strict=False).missing_keys
    assert not lacking  # the same names; there are fewer
    assert encoder.out_channels == channels
    assert encoder.out_strides == [(4, 4, 4), (8, 8, 8), (16, 16, 16)]
    x = torch.randn(1, 1, 32, 48, 32)
    found = encoder(x)
    assert [tuple(y.shape) for y in found] == [
        (1, width, 32 // s, 48 // s, 32 // s) for width, s in zip(channels, (4, 8, 16), strict=True)
    ]
    for ours, theirs in zip(found, by_hand(whole, x), strict=True):
        torch.testing.assert_close(ours, theirs)


@each_encoder
def test_every_weight_that_is_left_is_trained(name):
    args, parts, _, _ = ENCODERS[name]
    encoder, whole = MONAIEncoder(name, args, parts), whole_network(name)
    kept, all_of_it = (sum(w.numel() for w in net.parameters()) for net in (encoder, whole))
    assert kept < all_of_it  # the last stage and the classifier are gone
    sum(x.square().mean() for x in encoder(torch.randn(2, 1, 32, 32, 32))).backward()
    assert all(w.grad is not None and w.grad.isfinite().all() for w in encoder.parameters())


def test_weights_used_for_no_map_are_frozen():
    """The decoder runs, as the network itself is asked for its output, which is not taken."""
    net = MONAIEncoder('BasicUNet', UNET, ['down_1', ''], out_indices=[0])
    trained = {name for name, w in net.network.named_parameters() if w.requires_grad}
    assert {name.split('.')[0] for name in trained} == {'conv_0', 'down_1'}
    assert sum(1 for _ in net.network.parameters()) > len(trained)
    net(torch.randn(2, 1, 32, 32, 32))[0].sum().backward()
    assert all((w.grad is not None) == w.requires_grad for w in net.parameters())


@pytest.mark.parametrize(
    ('name', 'args', 'more', 'strides'),
    [
        ('BasicUNet', UNET, dict(out_modules=['down_2', 'down_1']), [4, 2]),
        (
            'ResNetFeatures',
            dict(model_name='resnet10', pretrained=False, in_channels=1),
            {},
            [2, 4, 8, 16, 32],
        ),
        (
            'UNETR',
            dict(
                in_channels=1,
                out_channels=1,
                img_size=32,
                feature_size=4,
                hidden_size=8,
                mlp_dim=8,
                num_heads=2,
            ),
            dict(out_modules=['encoder2', 'encoder3'], probe_size=32),
            [2, 4],
        ),
        (
            'SwinUNETR',
            dict(in_channels=1, out_channels=1, feature_size=12),
            dict(out_modules=['swinViT'], out_indices=[1, 2, 3]),
            [4, 8, 16],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_others(name, args, more, strides):
    encoder = MONAIEncoder(name, args, **more)
    assert encoder.out_strides == [(stride,) * 3 for stride in strides]
    with torch.no_grad():
        found = encoder.eval()(torch.zeros(1, 1, 32, 32, 32))
    assert [tuple(x.shape[1:]) for x in found] == [
        (width, *[32 // stride] * 3)
        for width, stride in zip(encoder.out_channels, strides, strict=True)
    ]


@torch.no_grad()
def test_reversed_axes_are_those_of_monai():
    """A network with its own stride along its last axis, which is our first."""
    args = dict(
        block='basic',
        layers=[1] * 4,
        block_inplanes=[4, 8, 8, 8],
        n_input_channels=1,
        conv1_t_stride=[2, 2, 1],
        spatial_dims=3,
    )
    encoder = MONAIEncoder('ResNet', args, ['layer1', 'layer2'], reverse_axes=True).eval()
    assert encoder.out_strides == [(2, 4, 4), (4, 8, 8)]
    plain = MONAIEncoder('ResNet', args, ['layer1', 'layer2']).eval()
    assert plain.out_strides == [(4, 4, 2), (8, 8, 4)]
    plain.load_state_dict(encoder.state_dict())
    x = torch.randn(1, 1, 16, 32, 48)  # z, y, x
    in_xyz = plain(x.permute(0, 1, 4, 3, 2))
    for ours, theirs in zip(encoder(x), in_xyz, strict=True):
        torch.testing.assert_close(ours, theirs.permute(0, 1, 4, 3, 2))


def test_mixed_precision_recomputing_and_copies():
    args = dict(SWIN, use_checkpoint=True)
    encoder = MONAIEncoder('swin_unetr.SwinTransformer', args, ['layers1.0', 'layers2.0'])
    copy = deepcopy(encoder)
    x = torch.randn(1, 1, 16, 16, 16)
    exact = encoder(x)
    with torch.autocast('cpu', torch.bfloat16):
        rough = copy(x)
        sum(y.float().square().mean() for y in rough).backward()
    for ours, theirs in zip(rough, exact, strict=True):
        torch.testing.assert_close(ours.float(), theirs, atol=0.1, rtol=0.1)
    assert all(w.grad is not None for w in copy.parameters())
    assert all(w.grad is None for w in encoder.parameters())


@pytest.mark.parametrize(
    ('name', 'args', 'more', 'message'),
    [
        ('DenseNet12', DENSENET, {}, "no network 'DenseNet12'; it has .*'DenseNet121'"),
        ('swin.SwinTransformer', SWIN, {}, 'no module monai.networks.nets.swin'),
        (
            'DenseNet121',
            DENSENET,
            dict(out_modules=['features.dense1']),
            "no part 'features.dense1'. Close to it: .'features.denseblock1'.*class_layers",
        ),
        ('DenseNet121', DENSENET, dict(out_modules=['features.norm0', BLOCKS[0]]), 'in place'),
        ('DenseNet121', DENSENET, dict(out_modules=['class_layers.flatten']), r'found tensors of'),
        ('DenseNet121', dict(DENSENET, spatial_dims=2), {}, r'of a volume \(2, 1, 64, 64, 64\)'),
        ('DenseNet121', dict(in_channels=1), {}, 'spatial_dims'),
        ('BasicUNet', UNET, dict(out_indices=[1]), 'there are 1 maps'),
        ('BasicUNet', UNET, dict(out_modules=['down_1'], probe_size=(63, 64, 64)), 'whole strides'),
        (
            'DynUNet',
            dict(
                spatial_dims=3,
                in_channels=1,
                out_channels=1,
                kernel_size=[3] * 3,
                strides=[1, 2, 2],
                upsample_kernel_size=[2] * 2,
                filters=[2] * 3,
            ),
            dict(out_modules=['downsamples']),
            'not called',
        ),
    ],
)
def test_what_gives_no_maps_is_refused(name, args, more, message):
    with pytest.raises(ValueError, match=message):
        MONAIEncoder(name, args, **more)


@pytest.mark.parametrize(
    ('package', 'name', 'args', 'message'),
    [
        ('monai', 'DenseNet121', DENSENET, 'pip install monai'),
        ('einops', 'swin_unetr.SwinTransformer', SWIN, 'needs another package: .*einops'),
    ],
)
def test_what_is_not_installed_is_named(package, name, args, message, monkeypatch):
    """As in a process in which a package cannot be imported; MONAI asks for einops when loaded."""
    for loaded in [key for key in sys.modules if key.split('.')[0] in ('monai', package)]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=message):
        MONAIEncoder(name, args)


@pytest.fixture
def detector(small_detector):
    def build(in_channels):
        return MODELS.build(
            small_detector(
                backbone=dict(
                    type='MONAIEncoder',
                    name='BasicUNet',
                    args=UNET,
                    out_modules=['down_1', 'down_2', 'down_3'],
                ),
                neck=dict(type='FPN3D', in_channels=in_channels, out_channels=8),
            )
        )

    return build


def test_the_neck_takes_the_channels_of_the_backbone(detector):
    assert [part.in_channels for part in detector(None).neck.laterals] == [4, 8, 8]
    assert [part.in_channels for part in detector((4, 8, 8)).neck.laterals] == [4, 8, 8]
    with pytest.raises(ValueError, match=r'are \[4, 8, 16\], .* MONAIEncoder have \[4, 8, 8\]'):
        detector([4, 8, 16])
