"""Convert nodules of LUNA16, cut out as cubes of 50 mm, from a public repository.

The cubes come with one `git clone https://github.com/node21challenge/node21_generation_baseline`,
without registration. A scan of the index is a cube; cubes of one CT count as one patient. The
lesion of a cube is its mask, or with LUNA16's tables every nodule and excluded finding in it.

Example:
    mmdet3d-medical convert-node21-crops node21_generation_baseline --out data/luna16_nodules \\
        --annotations annotations.csv --excluded annotations_excluded.csv
"""

from argparse import ArgumentParser

from .conversion import add_conversion_options


def add_arguments(parser: ArgumentParser) -> None:
    add_conversion_options(parser)
    parser.add_argument(
        'patch_dir', metavar='PATCH_DIR', help='folder of <seriesuid>_dcm_<n>.mha, or one above it'
    )
    parser.add_argument('--annotations', metavar='CSV', help="LUNA16's annotations.csv")
    parser.add_argument('--excluded', metavar='CSV', help="LUNA16's annotations_excluded.csv")
