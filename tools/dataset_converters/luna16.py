"""Convert LUNA16, or data in its layout, to memory-mapped volumes and a JSON index.

Examples:
    python tools/dataset_converters/luna16.py data/LUNA16 --out data/luna16 \
        --spacing 1 1 1 --crop lungs
    # lungs cut out as in DeepLung
    python tools/dataset_converters/luna16.py data/LUNA16 --out data/luna16_deeplung \
        --spacing 1 1 1 --crop lungs --outside-lungs 0
"""

import argparse
import sys

from mmdet3d_medical.datasets.converters import ConvertSettings, convert_luna16
from mmdet3d_medical.datasets.converters.command_line import make_parser, run


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        'luna16_dir',
        metavar='LUNA16_DIR',
        help='folder with subset0 .. subset9 and annotations.csv',
    )
    parser.add_argument(
        '--outside-lungs',
        type=int,
        metavar='HU',
        help='replace what is outside the lungs of the lung masks (default: keep)',
    )
    parser.add_argument(
        '--lung-dilation',
        type=int,
        default=ConvertSettings.dilation,
        metavar='VOXELS',
        help='rim around the lungs that is not replaced, bone in '
        'it excepted (default: %(default)s)',
    )
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    return run(
        lambda settings: convert_luna16(args.luna16_dir, args.out, settings, args.workers), args
    )


if __name__ == '__main__':
    sys.exit(main())
