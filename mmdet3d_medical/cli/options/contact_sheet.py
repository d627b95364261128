"""Draw slices of some scans in LUNA16's layout, and close-ups of their lesions, on one sheet.

Example:
    mmdet3d-medical contact-sheet data/phantom/raw sheet.png --scans 4
"""

from argparse import ArgumentParser
from pathlib import Path

from ..arguments import at_least, out_file


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('data', type=Path, metavar='LUNA16_DIR')
    parser.add_argument('out', type=out_file, metavar='SHEET.png')
    parser.add_argument(
        '--scans', type=at_least(1), default=4, help='scans to show whole (default 4)'
    )
    parser.add_argument('--lesions', type=int, default=24, help='close-ups of nodules (default 24)')
    parser.add_argument(
        '--findings', type=int, default=12, help='and of excluded findings (default 12)'
    )
