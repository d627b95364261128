"""Options that all converters share."""

import os
from argparse import ArgumentParser, ArgumentTypeError

from ..arguments import add_executor_options


def add_conversion_options(parser: ArgumentParser) -> None:
    """The options of every converter: where to, how, and on what machines."""
    parser.add_argument(
        '--out', required=True, metavar='OUT_DIR', help='folder for volumes/ and index.json'
    )
    parser.add_argument(
        '--spacing',
        nargs='+',
        default=['native'],
        metavar='MM',
        help="voxel size Z Y X in mm, or 'native' (default) for each scan's own",
    )
    parser.add_argument(
        '--crop',
        choices=('lungs', 'none'),
        default='none',
        help='cut to the bounding box of the lungs (default: none)',
    )
    parser.add_argument(
        '--margin',
        type=float,
        default=10.0,
        metavar='MM',
        help='kept around the lungs (default: 10 mm)',
    )
    parser.add_argument(
        '--storage',
        choices=('npy', 'blosc2'),
        default='npy',
        help='of volumes: plain, or compressed to half the bytes, which training reads more slowly '
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=max(1, (os.cpu_count() or 2) // 2),
        help='processes of this machine (default: half the cores)',
    )
    add_executor_options(parser)


def add_mask_options(parser: ArgumentParser) -> None:
    """Add ``--instances`` and ``--classes``: what the values of masks mean."""
    meaning = parser.add_mutually_exclusive_group()
    meaning.add_argument(
        '--instances',
        choices=('auto', 'components', 'values'),
        default='unambiguous',
        help='what is one lesion in a mask: each connected '
        'component, each value, or (auto) each value if there are several '
        '(default: as auto, but a value in several places is an error)',
    )
    meaning.add_argument(
        '--classes',
        nargs='+',
        type=_mask_class,
        metavar='VALUE=NAME',
        default=[],
        help='values of masks are classes: each connected component '
        'of such a value is a lesion, other values are none; for example 1=tumor '
        '2=cyst',
    )


def _mask_class(text: str) -> tuple[int, str]:
    value, equals, name = text.partition('=')
    if not (value.strip().isdecimal() and equals and name.strip()):
        raise ArgumentTypeError(f'expected VALUE=NAME such as 1=tumor, found {text!r}')
    return int(value), name.strip()
