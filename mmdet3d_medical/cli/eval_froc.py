"""What ``mmdet3d-medical eval-froc`` does."""

import csv
import dataclasses
import io
import json
import math
from argparse import Namespace
from pathlib import Path

from mmdet3d_medical.evaluation.functional import (
    FROCResult,
    Mistake,
    OperatingPoint,
    SizeScore,
    cpm_difference,
    froc,
    operating_points,
    recall_by_size,
    worst_mistakes,
)
from mmdet3d_medical.evaluation.marks import (
    check_spelling,
    read_marks,
    read_scan_ids,
)
from mmdet3d_medical.evaluation.table import (
    comparison_table,
    froc_table,
    operating_table,
    size_table,
)
from mmdet3d_medical.evaluation.truth import read_truth, scans_to_score
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import write_text


def names_of(args: Namespace) -> list[str]:
    """A name for each file of marks: as given, or the shortest that tells them apart."""
    paths = [Path(marks) for marks in args.marks]
    stems, folders = [path.stem for path in paths], [path.parent.name for path in paths]
    choices = [args.names] if args.names else [stems, folders, args.marks]
    names = next((names for names in choices if len({*names} - {''}) == len(paths)), None)
    if names is None or len(names) != len(paths):
        raise UsageError(
            f'{len(paths)} files of marks need as many different names, found '
            f'{choices[-1]}: give them with --names'
        )
    return names


@dataclasses.dataclass(frozen=True)
class Score:
    """What is known of a file of marks."""

    froc: FROCResult
    sizes: dict[str, SizeScore]
    points: list[OperatingPoint]
    mistakes: list[Mistake]

    def to_dict(self) -> dict:
        rates = self.froc.to_dict()['sensitivity']
        sizes = {
            name: dict(
                cpm=size.cpm,
                tp=size.tp,
                nodules=size.nodules,
                sensitivity=dict(zip(rates, size.sensitivity.tolist(), strict=True)),
            )
            for name, size in self.sizes.items()
        }
        points = [dataclasses.asdict(point) for point in self.points]
        return dict(**self.froc.to_dict(), by_size=sizes, by_score=points)


def evaluate(args: Namespace) -> list[Score]:
    """Score each file of marks, all on the same scans."""
    truth = read_truth(args.annotations, args.excluded)
    marks = [read_marks(path) for path in args.marks]
    nodules, excluded, *marks = of_class(args.class_name, truth.lesions, truth.ignored, *marks)
    listed = read_scan_ids(args.seriesuids) if args.seriesuids else None
    _check_spelling(args, listed, truth, marks)
    known = listed or _all_scans(truth, nodules, *marks)
    scans = scans_to_score(known, truth)
    _report_unlisted(known, nodules, 'lesions', args.annotations)
    if not {*nodules.scan_ids} & {*scans}:
        raise UsageError(
            f'{args.annotations} has no lesion in any of the {len({*scans})} '
            'scans, so there is no sensitivity: are the scan ids spelled alike in all '
            'files?'
        )
    scores = []
    for path, table in zip(args.marks, marks, strict=True):
        _check_overlap(known, table, path)
        _report_unlisted(known, table, 'marks', path)
        _report_unmarked(scans, table, path)
        result = froc(
            scans,
            table,
            nodules,
            excluded,
            max_marks=args.max_marks,
            bootstraps=args.bootstrap,
            seed=args.seed,
        )
        scores.append(
            Score(
                result,
                recall_by_size(result, nodules),
                operating_points(result, args.thresholds),
                list(worst_mistakes(result, table, nodules)),
            )
        )
    return scores


def of_class(name, *tables):
    """The tables of one class, which has to be named where there are several."""
    names = {found for table in tables for found in table.classes if found}
    if name is None and len(names) > 1:
        raise UsageError(f'the files name the classes {sorted(names)}: choose one with --class')
    if name is not None and name not in names:
        raise UsageError(f'--class {name}: the files name the classes {sorted(names)}')
    return tables if name is None else [table.of_class(name) for table in tables]


def _all_scans(truth, *tables) -> list[str]:
    scans = sorted(truth.without_lesions.union(*(table.scan_ids for table in tables)))
    print(
        f'No --seriesuids: taking the {len(scans)} scans in the annotations and the marks. '
        'Scans with neither are missing from the false positive rate.'
    )
    return scans


def _check_spelling(args, listed, truth, marks) -> None:
    """Refuse ids that are numbers and differ from others only in how the number is written."""
    known = listed or truth.named
    files = [
        (args.annotations, truth.named),
        (args.excluded or args.annotations, truth.ignored.scan_ids),
        *((path, table.scan_ids) for path, table in zip(args.marks, marks, strict=True)),
    ]
    for path, scan_ids in files:
        check_spelling(scan_ids, known, path, args.seriesuids or args.annotations)


def _check_overlap(scans, table, path) -> None:
    if table.scan_ids and not {*table.scan_ids} & {*scans}:
        raise UsageError(
            f'{path}: none of its {len(table.scan_ids)} marks lies in a listed scan. '
            f'It has ids like {table.scan_ids[0]!r}, the list like {scans[0]!r}'
        )


def _report_unlisted(scans, table, what, path) -> None:
    listed = set(scans)
    unlisted = [scan for scan in table.scan_ids if scan not in listed]
    if unlisted:
        print(
            f'{path}: {len(unlisted)} {what} lie in scans that are not listed and do not count, '
            f'the first in {unlisted[0]}.'
        )


def _report_unmarked(scans, table, path) -> None:
    unmarked = {*scans} - {*table.scan_ids}
    if unmarked:
        print(
            f'{path}: {len(unmarked)} of the {len({*scans})} scans have no marks; they '
            'count as searched.'
        )


def compare(scores: dict[str, Score]) -> tuple[str, list[dict]]:
    """Table of several results, and what to write as JSON."""
    results = {name: score.froc for name, score in scores.items()}
    reference, *others = results
    differences = {name: cpm_difference(results[name], results[reference]) for name in others}
    rows = [dict(name=name, **score.to_dict()) for name, score in scores.items()]
    for row, difference in zip(rows[1:], differences.values(), strict=True):
        row['difference'] = difference.to_dict()
    return comparison_table(results, differences), rows


def write_mistakes(path: str, scores: dict[str, Score]) -> None:
    """Write what went wrong, one row for each mistake of each file of marks."""
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(
        [
            'name',
            'kind',
            'seriesuid',
            'coordX',
            'coordY',
            'coordZ',
            'diameter_mm',
            'probability',
            'fp_per_scan',
        ]
    )
    for name, score in scores.items():
        for mistake in score.mistakes:
            values = (*mistake.center, mistake.diameter, mistake.score, mistake.fp_per_scan)
            cells = ['' if math.isnan(value) else f'{value:.6g}' for value in values]
            writer.writerow([name, mistake.kind, mistake.scan_id, *cells])
    write_text(path, text.getvalue())


def main(args: Namespace) -> None:
    names = names_of(args)
    try:
        scores = dict(zip(names, evaluate(args), strict=True))
    except ValueError as error:
        raise UsageError(error) from None
    results = {name: score.froc for name, score in scores.items()}
    if len(results) == 1:
        table, content = froc_table(results), scores[names[0]].to_dict()
    else:
        table, content = compare(scores)
    rates = results[names[0]].fp_rates
    print(
        table,
        size_table({name: score.sizes for name, score in scores.items()}, rates),
        sep='',
        end='',
    )
    if args.thresholds:
        print(operating_table({name: score.points for name, score in scores.items()}), end='')
    if args.json:
        write_text(args.json, json.dumps(content, indent=2) + '\n')
    if args.errors:
        write_mistakes(args.errors, scores)
    if args.plot:
        from mmdet3d_medical.visualization.froc import plot_froc  # half a second

        plot_froc(results, args.plot)
