"""What ``mmdet3d-medical monai-to-mmdet3d`` does."""

import re
from argparse import Namespace

from torch import Tensor

from mmdet3d_medical.apis import save_weights, trust_checkpoints
from mmdet3d_medical.utils.checkpoints import read_checkpoint, weights_in
from mmdet3d_medical.utils.errors import UsageError

BLOCK = r'feature_extractor\.body\.layer(\d)\.(\d+)\.'  # layers count from 1, blocks from 0
# Beginnings of names; numbers that the pattern finds go into ours.
NAMES = [
    (r'feature_extractor\.body\.conv1\.', 'backbone.stem.0.conv.'),
    (r'feature_extractor\.body\.bn1\.', 'backbone.stem.0.bn.'),
    (BLOCK + r'conv(\d)\.', 'backbone.stages.{}.{}.body.{}.conv.'),
    (BLOCK + r'bn(\d)\.', 'backbone.stages.{}.{}.body.{}.bn.'),
    (BLOCK + r'downsample\.0\.', 'backbone.stages.{}.{}.shortcut.conv.'),
    (BLOCK + r'downsample\.1\.', 'backbone.stages.{}.{}.shortcut.bn.'),
    (r'feature_extractor\.fpn\.inner_blocks\.(\d)\.', 'neck.laterals.{}.conv.'),
    (r'feature_extractor\.fpn\.layer_blocks\.(\d)\.', 'neck.outputs.{}.conv.'),
    (r'classification_head\.cls_logits\.', 'bbox_head.classify.'),
    (r'regression_head\.bbox_reg\.', 'bbox_head.regress.'),
]
BRANCHES = dict(classification='cls_branch', regression='box_branch')
PARTS = ('conv', 'gn')
XYZ_TO_ZYX = [2, 1, 0, 5, 4, 3]  # of offsets and log sizes


def name_of(name: str) -> str | None:
    """Our name of one of MONAI's weights; None if the network has no such part."""
    branch = re.match(r'(classification|regression)_head\.conv\.(\d+)\.', name)
    if branch:  # convolution, norm and ReLU in a row: 0, 1, 2, 3, 4, ...
        layer, part = divmod(int(branch[2]), 3)
        return f'bbox_head.{BRANCHES[branch[1]]}.{layer}.{PARTS[part]}.' + name[branch.end() :]
    for pattern, ours in NAMES:
        found = re.match(pattern, name)
        if found:
            numbers = [int(number) for number in found.groups()]
            if pattern.startswith(BLOCK):
                numbers = [numbers[0] - 1, numbers[1], *(number - 1 for number in numbers[2:])]
            return ours.format(*numbers) + name[found.end() :]
    return None


def turned(name: str, value: Tensor) -> Tensor:
    """A weight of ours out of one of MONAI's, with axes and box offsets in the order z, y, x."""
    if value.dim() == 5:
        value = value.permute(0, 1, 4, 3, 2)
    if name.startswith('bbox_head.regress.'):
        value = value.unflatten(0, (-1, 6))[:, XYZ_TO_ZYX].flatten(0, 1)
    return value.contiguous()


def convert(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """State dict of our detector out of one of MONAI's network or detector.

    Raises:
        UsageError: For a weight that this network does not have.
    """
    converted = {}
    for name, value in weights.items():
        name = name.removeprefix('module.').removeprefix('network.')
        ours = name_of(name)
        if ours is None:
            raise UsageError(
                f'{name} is not of the RetinaNet of lung_nodule_ct_detection, a '
                'ResNet-50 with a pyramid: this converter has no place for it.'
            )
        converted[ours] = turned(ours, value)
    return converted


def read(path: str) -> dict[str, Tensor]:
    """The weights in a file, by name."""
    try:
        content = read_checkpoint(path)
    except ValueError as error:
        raise UsageError(
            f'{error}. models/model.pt of the bundle is what this tool reads, not '
            'TorchScript (model.ts)'
        ) from None
    return weights_in(content.get('model', content), path)


def main(args: Namespace) -> None:
    trust_checkpoints(args.trust_checkpoint)
    weights = convert(read(args.checkpoint))
    save_weights(args.out, weights)
    print(f'Wrote {len(weights)} tensors to {args.out}')
