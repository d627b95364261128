"""Score marks by the rules of LUNA16: sensitivity at seven false positive rates, CPM, intervals.

Example:
    python tools/analysis_tools/eval_froc.py marks.csv --annotations annotations.csv \\
        --excluded annotations_excluded.csv --seriesuids seriesuids.csv --plot froc.png
"""

import argparse
import json
from pathlib import Path

from mmdet3d_medical.apis import UsageError, at_least, picture, run_tool
from mmdet3d_medical.evaluation.functional import FROCResult, froc
from mmdet3d_medical.evaluation.marks import Findings, read_findings, read_marks, read_scan_ids
from mmdet3d_medical.evaluation.table import froc_table
from mmdet3d_medical.visualization.froc import plot_froc


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('marks', metavar='MARKS.csv',
                        help='seriesuid,coordX,coordY,coordZ,probability[,diameter_mm]')
    parser.add_argument('--annotations', required=True, metavar='A.csv',
                        help='lesions: seriesuid,coordX,coordY,coordZ,diameter_mm')
    parser.add_argument('--excluded', metavar='E.csv',
                        help='findings on which marks count neither way; same columns')
    parser.add_argument('--seriesuids', metavar='S.csv',
                        help='all scans that were searched, one id a line (default: those in '
                        'the annotations and the marks)')
    parser.add_argument('--bootstrap', type=at_least(0), default=1000, metavar='N',
                        help='resamplings over scans for the 95 %% intervals (default: 1000)')
    parser.add_argument('--seed', type=at_least(0), default=0, help='seed of the resampling')
    parser.add_argument('--max-marks', type=at_least(1), default=100, metavar='N',
                        help='most marks that count in one scan (default: 100)')
    parser.add_argument('--class', dest='class_name', metavar='NAME',
                        help='score this class only; needed where files name several')
    parser.add_argument('--json', metavar='OUT.json', help='write the scores to this file')
    parser.add_argument('--plot', type=picture, metavar='OUT.png',
                        help='draw the FROC curve to this file')
    return parser.parse_args()


def evaluate(args: argparse.Namespace) -> FROCResult:
    marks, nodules = read_marks(args.marks), read_findings(args.annotations)
    excluded = read_findings(args.excluded) if args.excluded else Findings.from_rows([])
    tables = _of_class(args.class_name, marks, nodules, excluded)
    scans = read_scan_ids(args.seriesuids) if args.seriesuids else _all_scans(marks, nodules)
    _report_unlisted(scans, marks, nodules)
    result = froc(scans, *tables, max_marks=args.max_marks, bootstraps=args.bootstrap,
                  seed=args.seed)
    if not result.tp + result.fn:
        raise UsageError(f'{args.annotations} has no lesion in any of the {result.scans} scans, '
                         'so there is no sensitivity: are the scan ids spelt alike in all files?')
    return result


def _of_class(name, *tables):
    names = {found for table in tables for found in table.classes if found}
    if name is None and len(names) > 1:
        raise UsageError(f'the files name the classes {sorted(names)}: choose one with --class')
    if name is not None and name not in names:
        raise UsageError(f'--class {name}: the files name the classes {sorted(names)}')
    return tables if name is None else [table.of_class(name) for table in tables]


def _all_scans(marks, nodules) -> list[str]:
    scans = sorted({*marks.scan_ids, *nodules.scan_ids})
    print(f'No --seriesuids: taking the {len(scans)} scans in the annotations and the marks. '
          'Scans with neither are missing from the false positive rate.')
    return scans


def _report_unlisted(scans, marks, nodules) -> None:
    listed = set(scans)
    for what, table in (('marks', marks), ('lesions', nodules)):
        unlisted = sum(scan not in listed for scan in table.scan_ids)
        if unlisted:
            print(f'{unlisted} {what} lie in scans that are not listed and do not count.')


def main() -> None:
    args = parse_args()
    try:
        result = evaluate(args)
    except ValueError as error:
        raise UsageError(error) from None
    print(froc_table({Path(args.marks).stem: result}), end='')
    if args.json:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        Path(args.json).write_text(json.dumps(result.to_dict(), indent=2) + '\n')
    if args.plot:
        plot_froc({Path(args.marks).stem: result}, args.plot)


if __name__ == '__main__':
    run_tool(main)
