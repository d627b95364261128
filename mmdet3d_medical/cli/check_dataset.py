"""What ``mmdet3d-medical check-dataset`` does."""

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mmdet3d_medical.datasets.check import (
    ERROR,
    Problem,
    check_config,
    check_scans,
    check_splits,
)
from mmdet3d_medical.datasets.index import open_index
from mmdet3d_medical.utils import register_all_modules

MAX_LISTED = 10


def find_problems(args: Namespace, index: dict) -> list[Problem]:
    """Problems of the scans, of the lists beside the index, and of the config if there is one."""
    scans, root = index['scans'], args.index.parent
    problems = check_scans(
        scans, root, index.get('settings', {}).get('outside'), args.allow_outside
    )
    problems += check_splits(scans, root / 'splits')
    if args.config:
        from mmdet3d_medical.apis import load_config  # takes seconds and 250 MB

        register_all_modules()
        config = load_config(args.config)
        problems += check_config(index, root, config, args.allow_outside)
    return sorted(problems, key=lambda problem: problem.level)


def shorten(problems: Sequence[Problem]) -> Iterator[Problem]:
    """All errors, and the first warnings of each kind with the number of the others."""
    counts: Counter = Counter()
    for problem in problems:
        counts[problem.kind] += 1
        if problem.level == ERROR or counts[problem.kind] <= MAX_LISTED:
            yield problem
    for problem in {p.kind: p for p in problems if p.level != ERROR}.values():
        more = counts[problem.kind] - MAX_LISTED
        if more > 0:
            yield problem._replace(scan_id='', message=f'... and {more} more: {problem.kind}')


def print_problems(console: Console, problems: Sequence[Problem]) -> None:
    table = Table('level', 'scan', 'problem', title=f'{len(problems)} problems')
    for level, scan_id, message, _ in shorten(problems):
        table.add_row(
            level, escape(scan_id), escape(message), style='red' if level == ERROR else 'yellow'
        )
    console.print(table)


def main(args: Namespace) -> None:
    index = open_index(args.index)
    problems = find_problems(args, index)
    console = Console(highlight=False)
    if problems:
        print_problems(console, problems)
    scans = index['scans']
    annotated = sum(scan['annotated'] for scan in scans)
    lesions = sum(not i['ignore'] for scan in scans for i in scan['instances'])
    errors = sum(problem.level == ERROR for problem in problems)
    console.print(
        f'{len(scans)} scans ({annotated} annotated), {lesions} lesions: '
        f'{errors} errors, {len(problems) - errors} warnings'
    )
    if errors:
        raise SystemExit(1)
