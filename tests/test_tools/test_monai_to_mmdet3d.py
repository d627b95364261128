"""MONAI's RetinaNet for LUNA16 and ours with the same weights.

MONAI's axes are (x, y, z): its input is ours with the axes in reverse. Its function that joins
ResNet and pyramid needs torchvision; the few lines are repeated here, with the same names of parts.
"""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from mmdet3d_medical.apis import load_config
from mmdet3d_medical.models.layers import WinogradConv3d, winograd_conv3d
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.utils import register_all_modules

pytest.importorskip('monai', reason='MONAI is not installed: pip install monai')
from monai.apps.detection.networks.retinanet_network import RetinaNet
from monai.apps.detection.utils.anchor_utils import AnchorGeneratorWithAnchorShape
from monai.apps.detection.utils.box_coder import BoxCoder
from monai.networks.blocks.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool
from monai.networks.nets.resnet import resnet50

CONFIG = Path(__file__).parents[2] / 'configs/retina3d/retina3d_r50_monai_luna16.py'
SHAPE = (16, 32, 48)  # z, y, x
SHAPES = [[6, 8, 4], [8, 6, 5], [10, 10, 6]]  # x, y, z
TURN = [2, 1, 0, 5, 4, 3]
CLOSE = dict(rtol=1e-4, atol=1e-4)


class ResNetWithPyramid(nn.Module):
    """As MONAI's ``resnet_fpn_feature_extractor(backbone, 3, False, [1, 2], None)``."""

    out_channels = 256

    def __init__(self):
        super().__init__()
        whole = resnet50(
            spatial_dims=3, n_input_channels=1, conv1_t_stride=[2, 2, 1], conv1_t_size=[7, 7, 7]
        )
        parts = ('conv1', 'bn1', 'act', 'maxpool', 'layer1', 'layer2')
        self.body = nn.ModuleDict({name: getattr(whole, name) for name in parts})
        self.fpn = FeaturePyramidNetwork(3, [256, 512], 256, LastLevelMaxPool(3))

    def forward(self, x):
        maps = {}
        for name, part in self.body.items():
            x = part(x)
            if name.startswith('layer'):
                maps[name] = x
        return self.fpn(maps)


def randomise(network: nn.Module) -> None:
    """Statistics and scales that matter, and outputs far from 0.

    Not so far that boxes shrink below 1/62 of their anchors, where ours end and MONAI's go on.
    """
    torch.manual_seed(0)
    for name, value in network.state_dict().items():
        if 'running_mean' in name or name.endswith('bias'):
            nn.init.normal_(value, std=0.1)
        elif 'running_var' in name or ('weight' in name and value.dim() == 1):
            nn.init.uniform_(value, 0.7, 1.3)
    nn.init.normal_(network.classification_head.cls_logits.weight, std=0.01)
    nn.init.normal_(network.regression_head.bbox_reg.weight, std=0.01)


def in_our_order(levels, width: int) -> torch.Tensor:
    """Maps [(1, A * width, x, y, z)] as (N, width) by level, z, y, x and anchor."""
    rows = [
        level[0].unflatten(0, (-1, width)).permute(4, 3, 2, 0, 1).reshape(-1, width)
        for level in levels
    ]
    return torch.cat(rows)


def anchors_of_monai(volume, levels) -> torch.Tensor:
    """(N, 6) in our order and axes, as before MONAI 1.6.

    From 1.6 on it adds half a stride to the centers (Project-MONAI/MONAI#8475), which the published
    weights, made with 0.9, know nothing of.
    """
    generator = AnchorGeneratorWithAnchorShape((1, 2, 4), SHAPES)
    levels = [torch.empty(1, 1, *level.shape[2:]) for level in levels]
    anchors, rows, start = generator(volume, levels)[0], [], 0
    for level in levels:
        grid = tuple(level.shape[2:])
        number = 3 * level.numel()
        part = anchors[start : start + number].reshape(*grid, 3, 6)
        first = (part[0, 0, 0, 0, :3] + part[0, 0, 0, 0, 3:]) / 2
        strides = torch.tensor([a // b for a, b in zip(volume.shape[2:], grid, strict=True)])
        assert first.tolist() in ([0, 0, 0], (strides // 2).tolist())
        part = part - first.repeat(2)
        rows.append(part.permute(2, 1, 0, 3, 4).reshape(-1, 6)[:, TURN])
        start += number
    return torch.cat(rows)


@pytest.fixture(scope='module')
def networks(tmp_path_factory):
    """MONAI's network, the file it is saved to, and ours built from the config."""
    register_all_modules()
    theirs = RetinaNet(3, 1, 3, ResNetWithPyramid(), size_divisible=(16, 16, 8)).eval()
    randomise(theirs)
    path = tmp_path_factory.mktemp('monai') / 'model.pt'
    torch.save(theirs.state_dict(), path)
    return theirs, path, MODELS.build(load_config(str(CONFIG)).model).eval()


@pytest.mark.parametrize('winograd', [True, False], ids=['winograd', 'plain'])
@torch.no_grad()
def test_the_same_numbers_come_out(networks, run_tool, tmp_path, monkeypatch, winograd):
    theirs, path, ours = networks
    wide = lambda channels, shape: winograd and min(channels) >= 64  # noqa: E731
    monkeypatch.setattr(winograd_conv3d, 'pays_off', wide)
    assert sum(isinstance(part, WinogradConv3d) for part in ours.modules()) > 10
    out = tmp_path / 'ours.pth'
    assert run_tool('model_converters/monai_to_mmdet3d', path, out) == 0
    ours.load_state_dict(torch.load(out)['state_dict'], strict=True)
    count = [sum(weight.numel() for weight in net.parameters()) for net in (theirs, ours)]
    assert count == [20_902_741] * 2
    assert sum(weight.numel() for weight in ours.bbox_head.parameters()) == 14_307_093

    theirs = copy.deepcopy(theirs).double()  # float32 rounds as the processor has it
    ours = copy.deepcopy(ours).to(torch.float32 if winograd else torch.float64)  # it takes no other
    volume = torch.rand(1, 1, *SHAPE, dtype=torch.float64)
    reverse = volume.permute(0, 1, 4, 3, 2).contiguous()
    expected = theirs(reverse)
    scores = in_our_order(expected['classification'], 1).sigmoid()
    deltas = in_our_order(expected['box_regression'], 6)
    anchors = anchors_of_monai(reverse, expected['classification'])
    boxes = BoxCoder((1.0,) * 6).decode_single(deltas, anchors[:, TURN])[:, TURN]

    outs = ours._forward(volume.to(next(ours.parameters())))
    logits, found = (part[0].double() for part in ours.bbox_head.flatten(outs))
    priors = ours.bbox_head.priors(SHAPE)
    assert scores.std() > 0.05 and deltas.std() > 0.1
    torch.testing.assert_close(logits.sigmoid(), scores, **CLOSE)
    torch.testing.assert_close(found, deltas[:, TURN], **CLOSE)
    torch.testing.assert_close(priors, anchors, **CLOSE)
    # Sizes of anchors multiply the rounding of float32; that of the deltas is compared above.
    decoded = ours.bbox_head.decode(priors.double(), deltas[:, TURN] if winograd else found)
    torch.testing.assert_close(decoded, boxes, **CLOSE)


def test_what_the_converter_reads(networks, run_tool, tmp_path, capfd):
    theirs, path, ours = networks
    out, tool = tmp_path / 'new' / 'ours.pth', 'model_converters/monai_to_mmdet3d'
    weights = {f'network.{name}': value for name, value in theirs.state_dict().items()}
    torch.save(dict(model=weights), tmp_path / 'detector.pt')  # as a CheckpointSaver writes it
    assert run_tool(tool, tmp_path / 'detector.pt', out) == 0
    ours.load_state_dict(torch.load(out)['state_dict'], strict=True)

    torch.save({'feature_extractor.body.fc.weight': torch.zeros(1)}, tmp_path / 'other.pt')
    assert run_tool(tool, tmp_path / 'other.pt', out) == 2
    assert 'feature_extractor.body.fc.weight is not of the RetinaNet' in capfd.readouterr().err
    torch.jit.script(nn.ReLU()).save(str(tmp_path / 'model.ts'))
    assert run_tool(tool, tmp_path / 'model.ts', out) == 2
    assert 'TorchScript' in capfd.readouterr().err
    assert run_tool(tool, tmp_path / 'missing.pt', out) == 2
