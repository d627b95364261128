"""What ``mmdet3d-medical focalmix-to-plain`` does."""

from argparse import Namespace

import torch
from mmengine.runner import CheckpointLoader

from mmdet3d_medical.apis import save_weights, trust_checkpoints
from mmdet3d_medical.utils.checkpoints import PARTS, part_of, tested_part, weights_in
from mmdet3d_medical.utils.errors import UsageError


def main(args: Namespace) -> None:
    trust_checkpoints(args.trust_checkpoint)
    if args.part and args.reverse:
        raise UsageError(
            f'--{args.part} takes weights out of a FocalMix checkpoint and --reverse puts '
            'weights into one: give one of them.'
        )
    checkpoint = CheckpointLoader.load_checkpoint(args.checkpoint, map_location='cpu')
    weights = weights_in(checkpoint, args.checkpoint)
    part = args.part or ('student' if args.reverse else tested_part(checkpoint))
    if args.reverse:
        weights = {f'{PARTS[part]}{name}': value for name, value in weights.items()}
        weights['step'] = torch.zeros((), dtype=torch.long)
    else:
        weights = part_of(weights, part)
    if not weights:
        raise UsageError(
            f'{args.checkpoint} has no weights named {PARTS[part]}*: '
            'it is not from FocalMix, or was trained without a teacher.'
        )
    save_weights(args.out, weights, checkpoint.get('meta'))
    print(f'Wrote {len(weights)} tensors of the {part} to {args.out}')
