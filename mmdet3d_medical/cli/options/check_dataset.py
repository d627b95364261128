"""Find what is wrong with a converted data set, and whether a config fits it.

Exit code: 0 without errors, 1 with errors, 2 without a valid index.

Example:
    mmdet3d-medical check-dataset data/mine/index.json \\
        --config configs/retina3d/retina3d_fpn_luna16.py
"""

from argparse import ArgumentParser
from pathlib import Path


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('index', type=Path, metavar='INDEX', help='index.json of the data')
    parser.add_argument(
        '--config',
        metavar='CONFIG',
        help='also check anchors, patch, window and classes of this config',
    )
    parser.add_argument(
        '--allow-outside',
        action='store_true',
        help='also read volumes outside the folder of the index',
    )
