"""Take the detector out of a FocalMix checkpoint, or put a plain one into a FocalMix checkpoint.

``python tools/model_converters/focalmix_to_plain.py work_dirs/focalmix/iter_40000.pth plain.pth``

The result loads into the config of the wrapped detector; with ``--reverse`` it loads into that of
FocalMix. (FocalMix configs also take plain checkpoints as they are, in ``load_from``.)
"""

import argparse

import torch
from mmengine.runner import CheckpointLoader

from mmdet3d_medical.apis import (
    UsageError,
    add_trust_option,
    out_file,
    run_tool,
    save_weights,
    trust_checkpoints,
)
from mmdet3d_medical.utils.checkpoints import weights_in


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert a FocalMix checkpoint to a plain one')
    parser.add_argument('checkpoint', help='what to convert')
    parser.add_argument('out', type=out_file, help='where to write the result')
    parser.add_argument('--reverse', action='store_true', help='convert plain to FocalMix')
    parser.add_argument(
        '--teacher', action='store_true', help='take the averaged teacher instead of the detector'
    )
    add_trust_option(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    trust_checkpoints(args.trust_checkpoint)
    if args.teacher and args.reverse:
        raise UsageError(
            '--teacher takes weights out of a FocalMix checkpoint and --reverse puts '
            'weights into one: give one of them.'
        )
    checkpoint = CheckpointLoader.load_checkpoint(args.checkpoint, map_location='cpu')
    weights = weights_in(checkpoint, args.checkpoint)
    prefix = 'teacher.' if args.teacher else 'detector.'
    if args.reverse:
        weights = {f'{prefix}{name}': value for name, value in weights.items()}
        weights['step'] = torch.zeros((), dtype=torch.long)
    else:
        weights = {
            name.removeprefix(prefix): value
            for name, value in weights.items()
            if name.startswith(prefix)
        }
    if not weights:
        raise UsageError(
            f'{args.checkpoint} has no weights named {prefix}*: '
            'it is not from FocalMix, or was trained without a teacher.'
        )
    save_weights(args.out, weights, checkpoint.get('meta'))
    print(f'Wrote {len(weights)} tensors to {args.out}')


if __name__ == '__main__':
    run_tool(main)
