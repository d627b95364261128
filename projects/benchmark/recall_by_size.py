"""Sensitivity of rows of a table by the size of nodules, the mean over seeds that were run.

The false positive rates are those of the table's score. Marks are read where `reproduce.py` wrote
them.

Example:
    python projects/benchmark/recall_by_size.py projects/benchmark/nodules/semi2.yml \\
        --only supervised teacher-boxes --seeds 2 5
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from study.arguments import add_run_options
from study.data import read_data
from study.scores import froc_of
from study.table import Run, read_table, runs_of
from study.truth import Truth

from mmdet3d_medical.cli.errors import run_tool
from mmdet3d_medical.evaluation.functional import recall_by_size
from mmdet3d_medical.evaluation.marks import read_marks
from mmdet3d_medical.utils.errors import UsageError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('table', type=Path, metavar='TABLE.yml')
    add_run_options(parser)
    return parser.parse_args()


def sizes_of(run: Run, truth: Truth, work_dir: Path) -> dict[str, tuple[int, float]]:
    """By size how many nodules there are, and the mean sensitivity among them."""
    path = work_dir / run.name / 'marks.csv'
    if not path.is_file():
        raise UsageError(f'{path} is not there: run {run.name} by reproduce.py first')
    sizes = recall_by_size(froc_of(read_marks(path), truth, bootstraps=0), truth.nodules)
    return {size: (score.nodules, score.cpm) for size, score in sizes.items()}


def main() -> None:
    args = parse_args()
    table = read_table(args.table)
    data = read_data(table.data)
    truth = data.truth(table.scored_on, args.data or data.default_root)
    rows: dict[str, list[dict]] = {}
    for run in runs_of(table, args.only, args.seeds):
        rows.setdefault(run.setting.name, []).append(sizes_of(run, truth, args.work_dir))
    sizes = next(iter(rows.values()))[0]
    print('| row |', ' | '.join(f'{size} mm, {sizes[size][0]}' for size in sizes), '|')
    print('|---' * (1 + len(sizes)) + '|')
    for name, runs in rows.items():
        means = [np.mean([run[size][1] for run in runs]) for size in sizes]
        print(f'| {name} |', ' | '.join(f'{mean:.3f}' for mean in means), '|')


if __name__ == '__main__':
    run_tool(main)
