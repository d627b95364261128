"""Reproduce a table of the benchmark: run what is missing, then write the table and its plot.

It can be stopped at any moment; the same command goes on where it was.

Example:
    python projects/benchmark/reproduce.py projects/benchmark/phantoms/table1.yml --workers 2
"""

import argparse
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from study.data import BenchmarkData, read_data
from study.report import compute, fill, markdown, plot
from study.results import Results
from study.rows import score_rows
from study.runner import Runner
from study.runs import Bench
from study.table import Table, read_table, runs_of

from mmdet3d_medical.cli.arguments import at_least, positive
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
    parser.add_argument(
        '--minutes',
        type=positive,
        metavar='M',
        help='stop after so long, making data included; the same command goes on',
    )
    parser.add_argument(
        '--device', choices=('cpu', 'cuda'), help='of the runs (default: a GPU where there is one)'
    )
    parser.add_argument(
        '--data-workers',
        type=at_least(1),
        metavar='N',
        help='processes that make scans (default: --workers)',
    )
    parser.add_argument(
        '--scans',
        type=at_least(1),
        metavar='N',
        help='the first scans of the data set alone, which is then another one',
    )
    parser.add_argument(
        '--other-data',
        action='store_true',
        help='go on with scans that differ from the recorded ones, which are then another data set',
    )
    parser.add_argument(
        '--shrink',
        action='store_true',
        help='tiny runs in a work directory of their own, whose results stay there: to try a table',
    )
    return parser.parse_args()


def run_missing(args: argparse.Namespace, bench: Bench, runs: list) -> dict[str, str]:
    """Run what has no result; what went wrong, by the names of runs."""
    until = None if args.minutes is None else time.monotonic() + 60 * args.minutes
    if args.other_data:  # whose name decides which results are theirs
        bench = with_data(bench, args)
    for name in bench.check(runs):
        print(
            f'{name}: its config had other values when it was run. Delete '
            'its line of the results to run it again.'
        )
    missing = bench.plan(runs)
    print(f'{len(runs)} runs, {len(missing)} to do')
    if not missing:
        return {}
    if not args.other_data:
        bench = with_data(bench, args)
    runner = Runner(bench, missing, args.workers, until)
    runner.run()
    if runner.left:
        print(f'time is up; the same command goes on with {", ".join(runner.left)}')
    return runner.errors


def with_data(bench: Bench, args: argparse.Namespace) -> Bench:
    """The bench with its data made, under another name if they are not the recorded ones.

    Raises:
        UsageError: If they are not, and ``--other-data`` does not allow that.
    """
    bench.data.make(bench.root, args.data_workers or args.workers)
    try:
        bench.data.check(bench.root)
    except UsageError as error:
        if not args.other_data:
            raise UsageError(f'{error}. Or give --other-data') from None
        print(f'{error}. Results say that they are of other data.')
        return replace(bench, data=replace(bench.data, name=f'{bench.data.name}-other'))
    return bench


def report(table: Table, results: Results, shrink: bool) -> None:
    """Print the table, put it on the page beside its file, and draw it; shrunk it is printed."""
    scores = score_rows(table, results)
    text, page = markdown(table, scores), table.path.with_name('README.md')
    print(f'\n{text}')
    if shrink:
        return
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
    if args.scans:
        if not isinstance(data, BenchmarkData):
            raise UsageError(f'--scans: {table.data} is no data set of phantoms')
        data = data.with_scans(args.scans)
    if args.device == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = ''  # results name the device
    elif args.device == 'cuda' and not torch.cuda.is_available():
        raise UsageError('--device cuda: torch finds no GPU')
    work = args.work_dir / 'shrunk' if args.shrink else args.work_dir
    bench = Bench(
        tools=TOOLS,
        data=data,
        root=args.data or data.default_root,
        scored_on=table.scored_on,
        work=work,
        results=Results(work / 'results' if args.shrink else table.path.parent / 'results'),
        shrink=args.shrink,
    )
    errors = {}
    if not args.report_only:
        errors = run_missing(args, bench, runs_of(table, args.only, args.seeds))
    report(table, bench.results, args.shrink)
    if errors:
        raise UsageError(
            f'{len(errors)} runs ended with an error: '
            + '; '.join(f'{name}: {text}' for name, text in errors.items())
        )


if __name__ == '__main__':
    run_tool(main)
