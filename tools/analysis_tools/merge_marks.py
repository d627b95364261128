"""Merge the marks that several models, the folds of a cross-validation say, left in the same scans.

Example:
    python tools/analysis_tools/merge_marks.py fold0.csv fold1.csv fold2.csv --out merged.csv
"""

import argparse

from mmdet3d_medical.apis import UsageError, at_least, out_file, run_tool
from mmdet3d_medical.evaluation.marks import read_marks, write_marks
from mmdet3d_medical.evaluation.merging import merge_marks
from mmdet3d_medical.structures import MERGES


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
        choices=MERGES,
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
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        tables = [read_marks(path) for path in args.marks]
        merged = merge_marks(tables, args.method, args.iou, args.max_marks)
    except ValueError as error:
        raise UsageError(error) from None
    write_marks(args.out, merged)
    found = sum(len(table.scores) for table in tables)
    print(f'{found} marks of {len(tables)} models merged to {len(merged.scores)} in {args.out}')


if __name__ == '__main__':
    run_tool(main)
