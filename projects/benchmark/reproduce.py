"""Reproduce a table of the benchmark: run what is missing, then write the table and its plot.

It can be stopped at any moment; the same command goes on where it was.

Example:
    python projects/benchmark/reproduce.py projects/benchmark/phantoms/table1.yml --workers 2
"""

import argparse
import signal
import sys
from pathlib import Path

from study.data import read_data
from study.report import compute, fill, markdown, plot
from study.results import Results
from study.rows import score_rows
from study.runner import Runner
from study.runs import Bench
from study.table import Table, read_table, runs_of

from mmdet3d_medical.cli.arguments import at_least
from mmdet3d_medical.cli.errors import run_tool
from mmdet3d_medical.utils.errors import UsageError

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('table', type=Path, metavar='TABLE.yml', help='what to run and to show')
    parser.add_argument(
        '--workers',
        type=at_least(1),
        default=2,
        help='runs at once, with one thread each (default: 2)',
    )
    parser.add_argument(
        '--data',
        type=Path,
        metavar='DIR',
        help='the data set, made if it is not there (default: data/phantom_<name of the data set>)',
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/benchmark'),
        metavar='DIR',
        help='logs and checkpoints (default: work_dirs/benchmark)',
    )
    parser.add_argument(
        '--only',
        nargs='+',
        default=[],
        metavar='ROW',
        help='run these rows and what they start from',
    )
    parser.add_argument(
        '--seeds', nargs='+', type=int, default=[], metavar='K', help='run these seeds of the table'
    )
    parser.add_argument(
        '--report-only',
        action='store_true',
        help='run nothing, write the table from the results that are there',
    )
    return parser.parse_args()


def run_missing(args: argparse.Namespace, bench: Bench, runs: list) -> dict[str, str]:
    """Run what has no result; what went wrong, by the names of runs."""
    for name in bench.check(runs):
        print(
            f'{name}: its config had other values when it was run. Delete '
            'its line of the results to run it again.'
        )
    missing = bench.plan(runs)
    print(f'{len(runs)} runs, {len(missing)} to do')
    if not missing:
        return {}
    bench.data.make(bench.root, args.workers)
    bench.data.check(bench.root)
    runner = Runner(bench, missing, args.workers)
    runner.run()
    return runner.errors


def report(table: Table, results: Results) -> None:
    """Print the table, put it on the page beside its file, and draw it."""
    scores = score_rows(table, results)
    text, page = markdown(table, scores), table.path.with_name('README.md')
    print(f'\n{text}')
    if not fill(page, table.name, text):
        print(
            f'{page} has no lines <!-- {table.name} --> and <!-- end of {table.name} -->, '
            'between which the table would go.'
        )
    fill(page, 'compute', compute(results))
    if any(score.scored for score in scores.values()):
        plot(table, scores, table.path.with_suffix('.png'))


def main() -> None:
    args = parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('stopped'))  # so that processes are ended
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
    errors = {}
    if not args.report_only:
        errors = run_missing(args, bench, runs_of(table, args.only, args.seeds))
    report(table, bench.results)
    if errors:
        raise UsageError(
            f'{len(errors)} runs ended with an error: '
            + '; '.join(f'{name}: {text}' for name, text in errors.items())
        )


if __name__ == '__main__':
    run_tool(main)
