"""Score marks by the rules of LUNA16: sensitivity at seven false positive rates, CPM, intervals.

Marks of several detectors are scored side by side, with the difference of each from the first.

Example:
    python tools/analysis_tools/eval_froc.py marks.csv --annotations annotations.csv \\
        --excluded annotations_excluded.csv --seriesuids seriesuids.csv --plot froc.png
    python tools/analysis_tools/eval_froc.py baseline.csv focalmix.csv \\
        --annotations annotations.csv --names supervised FocalMix
"""

import argparse
import json
from pathlib import Path

from mmdet3d_medical.apis import UsageError, at_least, picture, run_tool
from mmdet3d_medical.evaluation.functional import FROCResult, cpm_difference, froc
from mmdet3d_medical.evaluation.marks import Findings, read_findings, read_marks, read_scan_ids
from mmdet3d_medical.evaluation.table import comparison_table, froc_table
from mmdet3d_medical.visualization.froc import plot_froc


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('marks', metavar='MARKS.csv', nargs='+',
                        help='seriesuid,coordX,coordY,coordZ,probability[,diameter_mm]; of '
                        'several files the first is what the others are compared with')
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
    parser.add_argument('--names', nargs='+', metavar='NAME',
                        help='what to call the files (default: by their names, or folders)')
    parser.add_argument('--json', metavar='OUT.json', help='write the scores to this file')
    parser.add_argument('--plot', type=picture, metavar='OUT.png',
                        help='draw the FROC curve to this file')
    return parser.parse_args()


def names_of(args: argparse.Namespace) -> list[str]:
    """A name for each file of marks: as given, or the shortest that tells them apart."""
    paths = [Path(marks) for marks in args.marks]
    stems, folders = [path.stem for path in paths], [path.parent.name for path in paths]
    choices = [args.names] if args.names else [stems, folders, args.marks]
    names = next((names for names in choices if len({*names} - {''}) == len(paths)), None)
    if names is None or len(names) != len(paths):
        raise UsageError(f'{len(paths)} files of marks need as many different names, found '
                         f'{choices[-1]}: give them with --names')
    return names


def evaluate(args: argparse.Namespace) -> list[FROCResult]:
    """Score each file of marks, all on the same scans."""
    findings = [read_findings(args.annotations),
                read_findings(args.excluded) if args.excluded else Findings.from_rows([])]
    marks = [read_marks(path) for path in args.marks]
    nodules, excluded, *marks = _of_class(args.class_name, *findings, *marks)
    scans = read_scan_ids(args.seriesuids) if args.seriesuids else _all_scans(nodules, *marks)
    _report_unlisted(scans, nodules, 'lesions', args.annotations)
    results = []
    for path, table in zip(args.marks, marks, strict=True):
        _report_unlisted(scans, table, 'marks', path)
        results.append(froc(scans, table, nodules, excluded, max_marks=args.max_marks,
                            bootstraps=args.bootstrap, seed=args.seed))
    if not results[0].tp + results[0].fn:
        raise UsageError(f'{args.annotations} has no lesion in any of the {results[0].scans} '
                         'scans, so there is no sensitivity: are the scan ids spelt alike in all '
                         'files?')
    return results


def _of_class(name, *tables):
    names = {found for table in tables for found in table.classes if found}
    if name is None and len(names) > 1:
        raise UsageError(f'the files name the classes {sorted(names)}: choose one with --class')
    if name is not None and name not in names:
        raise UsageError(f'--class {name}: the files name the classes {sorted(names)}')
    return tables if name is None else [table.of_class(name) for table in tables]


def _all_scans(*tables) -> list[str]:
    scans = sorted({scan for table in tables for scan in table.scan_ids})
    print(f'No --seriesuids: taking the {len(scans)} scans in the annotations and the marks. '
          'Scans with neither are missing from the false positive rate.')
    return scans


def _report_unlisted(scans, table, what, path) -> None:
    listed = set(scans)
    unlisted = sum(scan not in listed for scan in table.scan_ids)
    if unlisted:
        print(f'{path}: {unlisted} {what} lie in scans that are not listed and do not count.')


def compare(results: dict[str, FROCResult]) -> tuple[str, list[dict]]:
    """Table of several results, and what to write as JSON."""
    reference, *others = results
    differences = {name: cpm_difference(results[name], results[reference]) for name in others}
    scores = [dict(name=name, **result.to_dict()) for name, result in results.items()]
    for row, difference in zip(scores[1:], differences.values(), strict=True):
        row['difference'] = difference.to_dict()
    return comparison_table(results, differences), scores


def main() -> None:
    args = parse_args()
    names = names_of(args)
    try:
        results = dict(zip(names, evaluate(args), strict=True))
    except ValueError as error:
        raise UsageError(error) from None
    if len(results) == 1:
        table, scores = froc_table(results), results[names[0]].to_dict()
    else:
        table, scores = compare(results)
    print(table, end='')
    if args.json:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        Path(args.json).write_text(json.dumps(scores, indent=2) + '\n')
    if args.plot:
        plot_froc(results, args.plot)


if __name__ == '__main__':
    run_tool(main)
