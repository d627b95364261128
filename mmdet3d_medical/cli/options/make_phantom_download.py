"""Make synthetic scans as LUNA16 and NLST are downloaded: archives, and studies of DICOM files.

They have what is irregular in such data: see docs/luna16.md, whose commands are rehearsed on them.

Example:
    mmdet3d-medical make-phantom-download data
"""

from argparse import ArgumentParser
from pathlib import Path

from ..arguments import at_least


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        'out',
        type=Path,
        metavar='OUT_DIR',
        help='gets the folders LUNA16 and NLST, and expected.json: what the '
        'converters have to say of them',
    )
    parser.add_argument('--scans', type=at_least(11), default=30, help='of LUNA16 (default: 30)')
    parser.add_argument('--studies', type=at_least(2), default=4, help='of NLST (default: 4)')
    parser.add_argument('--seed', type=at_least(0), default=0)
    parser.add_argument('--workers', type=at_least(1), default=1, help='processes (default: 1)')
