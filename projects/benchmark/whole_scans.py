"""False positives of rows of a table in whole scans, where the rows find as much of its test.

Windows around nodules show little of what else a scan has. For each run the score is taken at which
it finds a share of the test's nodules; counted are the false positives of that score and above in
whole scans. Checkpoints are read where `reproduce.py` wrote them.

Example:
    python projects/benchmark/whole_scans.py projects/benchmark/nodules/parts.yml \\
        data/luna16_scans --only supervised teacher-boxes --sensitivity 0.5 0.6 0.7
"""

from __future__ import annotations

import argparse
import math
import subprocess
from pathlib import Path

import numpy as np
from study.commands import other_scans_command
from study.data import read_data
from study.results import Results
from study.runs import Bench
from study.scores import froc_of
from study.table import Run, read_table, runs_of

from mmdet3d_medical.cli.errors import run_tool
from mmdet3d_medical.datasets.index import open_index
from mmdet3d_medical.evaluation.functional import FROCResult, froc, operating_points
from mmdet3d_medical.evaluation.marks import read_marks
from mmdet3d_medical.evaluation.truth import findings_of_index
from mmdet3d_medical.utils.errors import UsageError

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('table', type=Path, metavar='TABLE.yml')
    parser.add_argument('scans', type=Path, metavar='DIR', help='a converted data set, all of it')
    parser.add_argument(
        '--sensitivity',
        nargs='+',
        type=float,
        default=[0.5, 0.6, 0.7],
        metavar='S',
        help='shares of the nodules of the test (default: 0.5 0.6 0.7)',
    )
    parser.add_argument('--only', nargs='+', default=[], metavar='ROW', help='default: all rows')
    parser.add_argument(
        '--seeds', nargs='+', type=int, default=[], metavar='K', help='default: all of the table'
    )
    parser.add_argument('--data', type=Path, metavar='DIR', help='the data set of the table')
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/benchmark'), metavar='DIR', help='of runs'
    )
    return parser.parse_args()


def score_at(result: FROCResult, sensitivity: float) -> float | None:
    """The score at which so large a share of the nodules is found; None if it never is."""
    scores = result.matches.scores[result.matches.hits]
    needed = max(1, math.ceil(sensitivity * (result.tp + result.fn) - 1e-9))
    return float(scores[needed - 1]) if needed <= len(scores) else None


def marks_of(bench: Bench, run: Run, root: Path) -> Path:
    """The marks of a run's detector in whole scans, found at the first call."""
    if bench.checkpoint(run) is None:
        raise UsageError(f'{bench.folder(run)}: no trained detector: run it by reproduce.py first')
    out = bench.folder(run) / f'{root.resolve().name}_marks.csv'
    if not out.is_file():
        new = out.with_suffix('.new.csv')
        command = other_scans_command(bench, run, root, new)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        new.replace(out)
    return out


def false_positives(bench: Bench, run: Run, root: Path, shares: list[float]) -> list[float]:
    """Per whole scan at the scores of these sensitivities; NaN where one is not reached."""
    truth = bench.data.truth(bench.scored_on, bench.root)
    windows = froc_of(read_marks(bench.folder(run) / 'marks.csv'), truth, bootstraps=0)
    scans = [scan['scan_id'] for scan in open_index(root / 'index.json')['scans']]
    found = read_marks(marks_of(bench, run, root))
    whole = froc(scans, found, *findings_of_index(root / 'index.json'), max_marks=len(found.scores))
    scores = [score_at(windows, share) for share in shares]
    return [
        math.nan if score is None else operating_points(whole, [score])[0].fp_per_scan
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
    rows: dict[str, list[list[float]]] = {}
    for run in runs_of(table, args.only, args.seeds):
        found = false_positives(bench, run, args.scans, args.sensitivity)
        rows.setdefault(run.setting.name, []).append(found)
    print('| row | seed |', ' | '.join(f'at {share:g}' for share in args.sensitivity), '|')
    print('|---' * (2 + len(args.sensitivity)) + '|')
    for name, runs in rows.items():
        lines = dict(zip(args.seeds or table.seeds, runs, strict=True), mean=np.mean(runs, axis=0))
        for seed, values in lines.items():
            print(f'| {name} | {seed} |', ' | '.join(f'{value:.1f}' for value in values), '|')


if __name__ == '__main__':
    run_tool(main)
