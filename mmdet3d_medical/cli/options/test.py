"""Test a detector.

Example:
    mmdet3d-medical test configs/retina3d/retina3d_fpn_phantom.py \\
        work_dirs/retina3d_fpn_phantom/iter_1500.pth --out marks.csv
"""

from argparse import ArgumentParser

from ..arguments import add_config_options, add_semi_option, add_trust_option


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='file with trained weights')
    parser.add_argument(
        '--out',
        metavar='MARKS.csv',
        help="write detections in the columns of LUNA16's submissions, then diameter_mm, sizeX, "
        'sizeY, sizeZ (mm)',
    )
    parser.add_argument(
        '--min-score',
        type=float,
        metavar='P',
        help='leave marks with a lower score out of --out (default: write all, up to 100 a scan); '
        'the scores of the test count all marks',
    )
    parser.add_argument(
        '--data',
        metavar='INDEX_OR_FOLDER',
        help='test on all scans of this index.json, for example new scans without annotations '
        '(default: the test scans of the config)',
    )
    parser.add_argument(
        '--work-dir', help='where logs go (default: work_dirs/<name of the config>)'
    )
    parser.add_argument(
        '--shrink',
        action='store_true',
        help='for a checkpoint that was trained with --shrink; all scans are tested',
    )
    add_trust_option(parser)
    add_semi_option(parser)
    add_config_options(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
