"""Convert LUNA16, or data in its layout, to memory-mapped volumes and a JSON index.

Examples:
    mmdet3d-medical convert-luna16 data/LUNA16 --out data/luna16 \\
        --spacing 1 1 1 --crop lungs
    # lungs cut out as in DeepLung
    mmdet3d-medical convert-luna16 data/LUNA16 --out data/luna16_deeplung \\
        --spacing 1 1 1 --crop lungs --outside-lungs 0
"""

from argparse import ArgumentParser

from .conversion import add_conversion_options


def add_arguments(parser: ArgumentParser) -> None:
    add_conversion_options(parser)
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
        default=10,
        metavar='VOXELS',
        help='rim around the lungs that is not replaced, bone in '
        'it excepted (default: %(default)s)',
    )
