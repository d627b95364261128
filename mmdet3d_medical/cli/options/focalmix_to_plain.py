"""Take the detector out of a FocalMix checkpoint, or put a plain one into a FocalMix checkpoint.

``mmdet3d-medical focalmix-to-plain work_dirs/focalmix/iter_40000.pth plain.pth``

The result loads into the config of the wrapped detector; with ``--reverse`` it loads into that of
FocalMix. (FocalMix configs also take plain checkpoints as they are, in ``load_from``.)
"""

from argparse import ArgumentParser

from ..arguments import add_trust_option, out_file


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('checkpoint', help='what to convert')
    parser.add_argument('out', type=out_file, help='where to write the result')
    parser.add_argument('--reverse', action='store_true', help='convert plain to FocalMix')
    part = parser.add_mutually_exclusive_group()
    for name, what in dict(teacher='averaged teacher', student='trained detector').items():
        part.add_argument(
            f'--{name}',
            dest='part',
            action='store_const',
            const=name,
            help=f'take the {what} (default: which of the two is tested)',
        )
    add_trust_option(parser)
