"""Make a data set of synthetic chest CTs with nodules, in LUNA16's layout.

Example:
    mmdet3d-medical make-phantom data/phantom/raw --scans 200
"""

from argparse import ArgumentParser
from pathlib import Path

# As in DIFFICULTIES, with which a test compares them: it imports much.
DIFFICULTIES = ('easy', 'default', 'hard')
SHAPE, SPACING = (96, 128, 128), (2.0, 2.0, 2.0)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('out', type=Path, metavar='OUT_DIR', help='directory of the data set')
    parser.add_argument('--scans', type=int, required=True, help='number of scans')
    parser.add_argument('--seed', type=int, default=0, help='same seed, same bytes (default 0)')
    parser.add_argument(
        '--shape',
        type=int,
        nargs=3,
        metavar=('Z', 'Y', 'X'),
        default=SHAPE,
        help=f'nominal voxels, default {SHAPE}',
    )
    parser.add_argument(
        '--spacing',
        type=float,
        nargs=3,
        metavar=('Z', 'Y', 'X'),
        default=SPACING,
        help=f'nominal mm, default {SPACING}',
    )
    parser.add_argument('--workers', type=int, default=1, help='processes (default 1)')
    parser.add_argument('--difficulty', choices=DIFFICULTIES, default='default')
