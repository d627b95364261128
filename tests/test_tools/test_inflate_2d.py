"""Inflated weights against mmdet's 2D ResNet."""

from pathlib import Path

import pytest
import torch
from mmdet.models.backbones import ResNet, ResNeXt
from torch import nn

from mmdet3d_medical.models.backbones import ResNet3D
from mmdet3d_medical.utils import register_all_modules

CONFIG = Path(__file__).parents[2] / 'configs/retina3d/retina3d_r50_inflated_luna16.py'
TOOL = 'model_converters/inflate_2d'
WIDTH, SIDE, STRIDES = 4, 64, (4, 8, 16, 32)
# What half the receptive field of the last map takes on both sides of the middle, in voxels: 217
# for ResNet-18, 241 for ResNet-50. There the zeros beyond the ends of the volume are not seen.
DEPTH = 512
CLOSE = dict(rtol=1e-4, atol=1e-4)


def randomise(network: nn.Module) -> None:
    """Weights, scales and statistics that all matter, in evaluation."""
    torch.manual_seed(0)
    network.eval()
    for name, value in network.state_dict().items():
        if value.dim() == 4:
            nn.init.kaiming_normal_(value)
        elif name.endswith(('running_var', 'weight')):
            nn.init.uniform_(value, 0.7, 1.3)
        elif value.is_floating_point():
            nn.init.normal_(value, std=0.1)


def flat(depth: int, **changes) -> ResNet:
    """A ResNet in 2D on photographs, in mmdet's default style, which is that of torchvision."""
    network = ResNet(depth, base_channels=WIDTH, stem_channels=WIDTH, **changes)
    randomise(network)
    return network


def config(tmp_path, **backbone) -> str:
    """A detector whose backbone has the strides of a ResNet in 2D."""
    settings = dict(
        type='ResNet3D',
        depth=18,
        base_channels=WIDTH,
        stem_kernel=7,
        stem_pool=True,
        strides=(1, 2, 2, 2),
        out_indices=(0, 1, 2, 3),
    )
    path = tmp_path / 'detector.py'
    path.write_text(f'model = dict(backbone={settings | backbone})\n')
    return str(path)


def built(checkpoint, prefix: str = 'backbone.', **backbone) -> ResNet3D:
    settings = dict(depth=18, base_channels=WIDTH, stem_pool=True, strides=(1, 2, 2, 2))
    network = ResNet3D(**(settings | backbone)).eval()
    weights = torch.load(checkpoint)['state_dict']
    assert all(name.startswith(prefix) for name in weights)
    network.load_state_dict({name.removeprefix(prefix): w for name, w in weights.items()})
    return network


@pytest.fixture
def inflated(run_tool, tmp_path):
    """Function from the weights of a network in 2D to the inflated one."""

    def run(weights: dict, **backbone) -> ResNet3D:
        torch.save(weights, tmp_path / 'flat.pth')
        out = tmp_path / 'new' / 'inflated.pth'
        assert run_tool(TOOL, config(tmp_path, **backbone), tmp_path / 'flat.pth', out) == 0
        return built(out, **backbone)

    return run


@pytest.mark.parametrize('depth', [18, 50])
@torch.no_grad()
def test_a_volume_constant_along_depth_gives_the_responses_of_its_slice(depth, inflated):
    network = flat(depth)
    weights = network.state_dict() | {'fc.weight': torch.zeros(10, 3), 'fc.bias': torch.zeros(10)}
    deep = inflated(weights, depth=depth).double()
    slice_ = torch.randn(1, 1, SIDE, SIDE, dtype=torch.double)
    expected = network.double()(slice_.expand(-1, 3, -1, -1))
    found = deep(slice_[:, :, None].expand(-1, -1, DEPTH, -1, -1))
    for stride, ours, theirs in zip(STRIDES, found, expected, strict=True):
        assert theirs.std() > 0.1
        torch.testing.assert_close(ours[:, :, DEPTH // 2 // stride], theirs, **CLOSE)


@torch.no_grad()
def test_groups_colors_flat_stems_and_fewer_stages(inflated):
    """ResNeXt of which the first stage is wanted, on three channels, within a slice at first."""
    network = ResNeXt(depth=50, groups=2, base_width=32, base_channels=WIDTH, stem_channels=WIDTH)
    randomise(network)
    weights = {f'backbone.{name}': value for name, value in network.state_dict().items()}
    weights['bbox_head.conv.weight'] = torch.zeros(4, 4, 3, 3)  # a whole detector, as of mmdet
    deep = inflated(
        dict(state_dict=weights, meta=dict(epoch=1)),
        depth=50,
        in_channels=3,
        stem_kernel=(1, 7, 7),
        stem_stride=(1, 2, 2),
        strides=(1,),
        out_indices=(0,),
        num_groups=2,
        group_channels=network.layer1[0].conv2.out_channels // 2,
    )
    slice_ = torch.randn(1, 3, 32, 32)
    (found,) = deep(slice_[:, :, None].expand(-1, -1, 32, -1, -1))
    torch.testing.assert_close(found[:, :, 8], network(slice_)[0], **CLOSE)


def test_the_config_of_inflated_weights_takes_a_whole_resnet50(run_tool, tmp_path):
    register_all_modules()
    torch.save(ResNet(50).state_dict(), tmp_path / 'flat.pth')
    assert run_tool(TOOL, CONFIG, tmp_path / 'flat.pth', tmp_path / 'out.pth', '--prefix', '') == 0
    network = built(
        tmp_path / 'out.pth',
        '',
        depth=50,
        base_channels=64,
        strides=(1, 2, 2),
        out_indices=(0, 1, 2),
    )
    assert network.out_channels == [256, 512, 1024]


@pytest.mark.parametrize(
    ('backbone', 'message'),
    [
        (dict(stem_kernel=3), 'set base_channels=4, stem_kernel=7'),
        (dict(in_channels=4), 'in_channels=1 or 3'),
        (dict(base_channels=8), 'set base_channels=4'),
        (dict(depth=50), 'Missing: stages.0.0.body.2.bn.bias'),
        (dict(strides=(2, 2, 2, 2)), 'Missing: stages.0.0.shortcut.bn.bias'),
        (dict(norm_cfg=None), 'Left over: stages.0.0.body.0.bn.bias'),
        (dict(type='PlainConvEncoder3D'), None),
    ],
)
def test_what_does_not_fit_is_refused(backbone, message, run_tool, tmp_path, capfd):
    torch.save(flat(18).state_dict(), tmp_path / 'flat.pth')
    if message is None:
        path = tmp_path / 'plain.py'
        path.write_text("model = dict(backbone=dict(type='PlainConvEncoder3D'))\n")
        backbone_config, message = str(path), 'only ResNet3D'
    else:
        backbone_config = config(tmp_path, **backbone)
    assert run_tool(TOOL, backbone_config, tmp_path / 'flat.pth', tmp_path / 'out.pth') == 2
    assert message in capfd.readouterr().err
    assert not (tmp_path / 'out.pth').exists()


def test_other_files_are_refused(run_tool, tmp_path, capfd):
    path, out = config(tmp_path), tmp_path / 'out.pth'
    deep_stem = flat(18, deep_stem=True).state_dict()
    torch.save(deep_stem, tmp_path / 'deep.pth')
    assert run_tool(TOOL, path, tmp_path / 'deep.pth', out) == 2
    assert 'not of a plain ResNet: stem.0.weight' in capfd.readouterr().err
    (tmp_path / 'model.safetensors').write_bytes(b'0' * 100)
    assert run_tool(TOOL, path, tmp_path / 'model.safetensors', out) == 2
    assert 'safetensors' in capfd.readouterr().err
    assert run_tool(TOOL, path, tmp_path / 'missing.pth', out) == 2
