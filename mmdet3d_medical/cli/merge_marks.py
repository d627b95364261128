"""What ``mmdet3d-medical merge-marks`` does."""

from argparse import Namespace

from mmdet3d_medical.evaluation.marks import read_marks, write_marks
from mmdet3d_medical.evaluation.merging import merge_marks
from mmdet3d_medical.utils.errors import UsageError


def main(args: Namespace) -> None:
    try:
        tables = [read_marks(path) for path in args.marks]
        merged = merge_marks(tables, args.method, args.iou, args.max_marks)
    except ValueError as error:
        raise UsageError(error) from None
    write_marks(args.out, merged)
    found = sum(len(table.scores) for table in tables)
    print(f'{found} marks of {len(tables)} models merged to {len(merged.scores)} in {args.out}')
