"""Find what is wrong with a converted data set.

Exit code: 0 without errors, 1 with errors, 2 without a valid index.

Example:
    python tools/analysis_tools/check_dataset.py data/mine/index.json
"""
import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mmdet3d_medical.datasets.check import ERROR, check_scans
from mmdet3d_medical.datasets.index import read_index


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('index', metavar='INDEX', help='index.json of the converted data')
    return parser.parse_args()


def print_problems(console: Console, problems: list) -> None:
    table = Table('level', 'scan', 'problem', title=f'{len(problems)} problems')
    for problem in problems:
        table.add_row(*problem, style='red' if problem.level == ERROR else 'yellow')
    console.print(table)


def main() -> int:
    args = parse_args()
    try:
        scans = read_index(args.index)['scans']
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    problems = check_scans(scans, Path(args.index).parent)
    console = Console(highlight=False)
    if problems:
        print_problems(console, problems)
    annotated = sum(scan['annotated'] for scan in scans)
    lesions = sum(not i['ignore'] for scan in scans for i in scan['instances'])
    errors = sum(problem.level == ERROR for problem in problems)
    console.print(f'{len(scans)} scans ({annotated} annotated), {lesions} lesions: '
                  f'{errors} errors, {len(problems) - errors} warnings')
    return 1 if errors else 0


if __name__ == '__main__':
    sys.exit(main())
