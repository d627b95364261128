"""Convert LUNA16, or data in its layout, to memory-mapped volumes and a JSON index.

Example:
    python tools/dataset_converters/luna16.py data/LUNA16 --out data/luna16 \
        --spacing 1 1 1 --crop lungs
"""
import argparse
import sys

from mmdet3d_medical.datasets.converters import convert_luna16
from mmdet3d_medical.datasets.converters.command_line import add_convert_options, parse_settings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('luna16_dir', metavar='LUNA16_DIR',
                        help='folder with subset0 .. subset9 and annotations.csv')
    add_convert_options(parser)
    args = parser.parse_args()
    try:
        report = convert_luna16(args.luna16_dir, args.out, parse_settings(args), args.workers)
    except ValueError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    report.print()
    return 1 if report.failures else 0


if __name__ == '__main__':
    sys.exit(main())
