"""What ``mmdet3d-medical inflate-2d`` does."""

import re
from argparse import Namespace

import torch
from mmengine.registry import init_default_scope
from torch import Tensor

from mmdet3d_medical.apis import load_config, save_weights, trust_checkpoints
from mmdet3d_medical.models.backbones import ResNet3D
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.utils.checkpoints import read_checkpoint, weights_in
from mmdet3d_medical.utils.errors import UsageError

BLOCK = r'layer(\d)\.(\d+)\.'  # layers count from 1, blocks from 0
# Beginnings of names; layers and convolutions count from 0 here.
NAMES = [
    (r'conv1\.', 'stem.0.conv.'),
    (r'bn1\.', 'stem.0.bn.'),
    (BLOCK + r'conv(\d)\.', 'stages.{}.{}.body.{}.conv.'),
    (BLOCK + r'bn(\d)\.', 'stages.{}.{}.body.{}.bn.'),
    (BLOCK + r'downsample\.0\.', 'stages.{}.{}.shortcut.conv.'),
    (BLOCK + r'downsample\.1\.', 'stages.{}.{}.shortcut.bn.'),
]
CLASSIFIERS = ('fc.', 'head.')


def name_of(name: str) -> str | None:
    """Our name of a weight; None if a plain ResNet has no such part."""
    for pattern, ours in NAMES:
        found = re.match(pattern, name)
        if found:
            numbers = [int(number) for number in found.groups()]
            if numbers:
                numbers = [numbers[0] - 1, numbers[1], *(number - 1 for number in numbers[2:])]
            return ours.format(*numbers) + name[found.end() :]
    return None


def weights_of_backbone(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefixes of wrappers; of a whole detector's those of its backbone."""
    weights = {name.removeprefix('module.'): value for name, value in weights.items()}
    own = {
        name.removeprefix('backbone.'): value
        for name, value in weights.items()
        if name.startswith('backbone.')
    }
    return own or weights


def renamed(weights: dict[str, Tensor], num_stages: int) -> dict[str, Tensor]:
    """Weights by our names, without those of the classifier and of stages that we do not have.

    Raises:
        UsageError: For weights that a plain ResNet does not have.
    """
    known, unknown = {}, []
    for name, value in weights_of_backbone(weights).items():
        stage = re.match(r'layer(\d)\.', name)
        if name.startswith(CLASSIFIERS) or (stage and int(stage[1]) > num_stages):
            continue
        ours = name_of(name)
        known[ours] = value
        unknown += [name] if ours is None else []
    if unknown:
        raise UsageError(f'These weights are not of a plain ResNet: {listed(unknown)}.')
    return known


def inflate(name: str, value: Tensor, shape: torch.Size) -> Tensor:
    """A weight of the 3D network out of one of the 2D network.

    Args:
        name: Of the weight, for messages.
        value: (out, in, k, k) of a convolution, or anything else, which stays.
        shape: What it has to become, for a convolution (out, in, d, k, k).

    Raises:
        UsageError: If it cannot become that.
    """
    deep = value
    if name.startswith('stem.') and value.dim() == 4 and shape[1] == 1:
        deep = deep.sum(dim=1, keepdim=True)
    if value.dim() == 4 and len(shape) == 5:
        deep = deep[:, :, None].expand(-1, -1, shape[2], -1, -1) / shape[2]
    if deep.shape != shape:
        raise UsageError(
            f'{name} is {tuple(value.shape)} in the weights, which cannot become '
            f'{tuple(shape)} as in the config.{advice(name, value)}'
        )
    return deep


def advice(name: str, value: Tensor) -> str:
    """What to change where the first convolution does not fit."""
    if name != 'stem.0.conv.weight':
        return ' Depth, base_channels and groups have to be those of the weights.'
    return (
        f' In the backbone set base_channels={value.shape[0]}, stem_kernel={value.shape[-1]} '
        f'(or (z, y, x), of any depth) and in_channels=1 or {value.shape[1]}.'
    )


def convert(weights: dict[str, Tensor], backbone: ResNet3D) -> dict[str, Tensor]:
    """State dict of a ``ResNet3D`` out of one of a 2D ResNet.

    Raises:
        UsageError: If weights are missing, left over, or of other sizes.
    """
    needed, given = backbone.state_dict(), renamed(weights, len(backbone.stages))
    optional = {name for name in needed if name.endswith('num_batches_tracked')}
    missing, extra = needed.keys() - given.keys() - optional, given.keys() - needed.keys()
    if missing or extra:
        raise UsageError(
            'The weights are not of the network in the config, or its strides or norm_cfg are not '
            f'as in 2D. Missing: {listed(missing)}. Left over: {listed(extra)}.'
        )
    return {
        name: inflate(name, given[name], needed[name].shape) if name in given else needed[name]
        for name in needed
    }


def listed(names: set[str] | list[str]) -> str:
    return ', '.join(sorted(names)) or 'none'


def read(path: str) -> dict[str, Tensor]:
    """The weights in a file, by name."""
    return weights_in(read_checkpoint(path), path)


def backbone_of(config: str) -> ResNet3D:
    cfg = load_config(config)
    init_default_scope(cfg.get('default_scope', 'mmdet3d_medical'))
    detector = cfg.model.get('detector', cfg.model)  # in FocalMix
    backbone = MODELS.build(detector.backbone)
    if not isinstance(backbone, ResNet3D):
        raise UsageError(
            f'The backbone in {config} is a {type(backbone).__name__}: only ResNet3D '
            'has the parts of a ResNet.'
        )
    return backbone


def main(args: Namespace) -> None:
    trust_checkpoints(args.trust_checkpoint)
    backbone = backbone_of(args.config)
    weights = {
        f'{args.prefix}{name}': value
        for name, value in convert(read(args.weights), backbone).items()
    }
    save_weights(args.out, weights, dict(part=args.prefix))
    print(f'Wrote {len(weights)} tensors of {len(backbone.stages)} stages to {args.out}')
