"""False positives of a table's rows in whole scans, at equal sensitivity on the table's windows.

Windows around nodules show little of what else a scan has. For each run the score is taken at which
it finds a share of the test's nodules; counted are the false positives of that score and above in
annotated whole scans. Detectors are those that `reproduce.py` trained.

Example:
    python projects/benchmark/whole_scans.py projects/benchmark/nodules/parts.yml \\
        data/luna16_scans --only supervised teacher-boxes --sensitivity 0.5 0.6 0.7
"""

from __future__ import annotations

import argparse
import math
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from study.arguments import add_run_options
from study.commands import MAX_MARKS, other_scans_command
from study.data import read_data
from study.results import Results
from study.runs import Bench
from study.scores import froc_of
from study.table import Run, read_table, runs_of

from mmdet3d_medical.cli.errors import run_tool
from mmdet3d_medical.datasets.index import open_index
from mmdet3d_medical.evaluation.functional import FROCResult, froc
from mmdet3d_medical.evaluation.marks import Marks, read_marks
from mmdet3d_medical.evaluation.truth import truth_of_index
from mmdet3d_medical.utils.errors import UsageError

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


def share(text: str) -> float:
    """The type of numbers above 0, up to 1."""
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f'expected a number above 0, up to 1, found {text}')
    return value


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('table', type=Path, metavar='TABLE.yml')
    parser.add_argument('scans', type=Path, metavar='DIR', help='a converted data set, all of it')
    parser.add_argument(
        '--sensitivity',
        nargs='+',
        type=share,
        default=[0.5, 0.6, 0.7],
        metavar='S',
        help='shares of the nodules of the test (default: 0.5 0.6 0.7)',
    )
    add_run_options(parser)
    return parser.parse_args()


def score_at(result: FROCResult, sensitivity: float) -> float | None:
    """The score at which so large a share of the nodules is found; None if it never is."""
    scores = result.matches.scores[result.matches.hits]
    needed = max(1, math.ceil(sensitivity * (result.tp + result.fn) - 1e-9))
    return float(scores[needed - 1]) if needed <= len(scores) else None


def check_trained(bench: Bench, runs: Iterable[Run]) -> None:
    """Refuse runs without a detector or marks, before minutes of work.

    Raises:
        UsageError: Naming the first.
    """
    for run in runs:
        if bench.checkpoint(run) is None or not (bench.folder(run) / 'marks.csv').is_file():
            raise UsageError(
                f'{bench.folder(run)}: not trained or not tested: run it by reproduce.py'
            )


def search(bench: Bench, run: Run, root: Path) -> Marks:
    """What the detector of a run finds in the scans of a converted data set.

    Raises:
        UsageError: If its test fails.
    """
    out, log = bench.folder(run) / 'whole_scans.csv', bench.folder(run) / 'whole_scans.log'
    with log.open('w') as file:
        command = other_scans_command(bench, run, root, out)
        if subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode:
            raise UsageError(f'{run.name} could not be tested in {root}, see {log}')
    return read_marks(out)


def least_score(marks: Marks) -> float:
    """The score from which on all marks were kept, in every scan."""
    scans = np.array(marks.scan_ids)
    full = [scan for scan, count in Counter(marks.scan_ids).items() if count >= MAX_MARKS]
    return max((float(marks.scores[scans == scan].min()) for scan in full), default=0.0)


def false_positives(bench: Bench, run: Run, root: Path, shares: list[float]) -> list[float]:
    """Per whole scan, at the scores of these sensitivities.

    NaN where one is not reached, or at so low a score that not all marks of it were kept.
    """
    marks, index = search(bench, run, root), root / 'index.json'
    annotated = [scan['scan_id'] for scan in open_index(index)['scans'] if scan['annotated']]
    found = truth_of_index(index)
    whole = froc(annotated, marks, found.lesions, found.ignored, max_marks=MAX_MARKS)
    truth = bench.data.truth(bench.scored_on, bench.root)
    windows = froc_of(read_marks(bench.folder(run) / 'marks.csv'), truth, bootstraps=0)
    wrong, least = whole.matches.scores[~whole.matches.hits], least_score(marks)
    scores = [score_at(windows, share) for share in shares]
    return [
        math.nan if score is None or score < least else float((wrong >= score).sum() / whole.scans)
        for score in scores
    ]


def main() -> None:
    args = parse_args()
    table = read_table(args.table)
    data = read_data(table.data)
    bench = Bench(
        tools=TOOLS,
        data=data,
        root=args.data or data.default_root,
        scored_on=table.scored_on,
        work=args.work_dir,
        results=Results(table.path.parent / 'results'),
    )
    runs = {run.name: run for run in runs_of(table, args.only, args.seeds)}  # rows may share them
    check_trained(bench, runs.values())
    rows: dict[str, dict[str, list[float]]] = {}
    for run in runs.values():
        found = false_positives(bench, run, args.scans, args.sensitivity)
        rows.setdefault(run.setting.name, {})[str(run.seed)] = found
    print('| row | seed |', ' | '.join(f'at {share:g}' for share in args.sensitivity), '|')
    print('|---' * (2 + len(args.sensitivity)) + '|')
    for name, seeds in rows.items():
        mean = np.mean([*seeds.values()], axis=0)
        for seed, values in {**seeds, 'mean': mean}.items():
            print(f'| {name} | {seed} |', ' | '.join(f'{value:.1f}' for value in values), '|')


if __name__ == '__main__':
    run_tool(main)
