"""Merge the marks that several models, the folds of a cross-validation say, left in the same scans.

Example:
    mmdet3d-medical merge-marks fold0.csv fold1.csv fold2.csv --out merged.csv
"""

from argparse import ArgumentParser

from ..arguments import at_least, out_file


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        'marks',
        metavar='MARKS.csv',
        nargs='+',
        help='seriesuid,coordX,coordY,coordZ,probability,diameter_mm[,sizeX,sizeY,sizeZ] of '
        'each model; a model without marks in a scan has found nothing there',
    )
    parser.add_argument('--out', type=out_file, required=True, metavar='MERGED.csv')
    parser.add_argument(
        '--method',
        choices=('nms', 'wbc'),
        default='wbc',
        help='nms: the best mark on a lesion stays; wbc: weighted box clustering, '
        'a mean over all models (default)',
    )
    parser.add_argument(
        '--iou',
        type=float,
        default=0.1,
        metavar='T',
        help='marks whose boxes overlap by more are of one lesion (default: 0.1)',
    )
    parser.add_argument(
        '--max-marks',
        type=at_least(1),
        default=100,
        metavar='N',
        help='most marks of one scan (default: 100)',
    )
