"""Convert LUNA16, or data in its layout, to memory-mapped volumes and a JSON index.

Example:
    python tools/dataset_converters/luna16.py data/LUNA16 --out data/luna16 \
        --spacing 1 1 1 --crop lungs
"""
import sys

from mmdet3d_medical.datasets.converters import convert_luna16
from mmdet3d_medical.datasets.converters.command_line import make_parser, run


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument('luna16_dir', metavar='LUNA16_DIR',
                        help='folder with subset0 .. subset9 and annotations.csv')
    args = parser.parse_args()
    return run(lambda settings: convert_luna16(args.luna16_dir, args.out, settings, args.workers),
               args)


if __name__ == '__main__':
    sys.exit(main())
