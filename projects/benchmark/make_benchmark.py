"""Make the data set of a benchmark and check that it is the one whose hashes are recorded.

Example:
    python projects/benchmark/make_benchmark.py projects/benchmark/phantoms/data.yml --workers 2
"""

import argparse
from pathlib import Path

from study.data import read_data

from mmdet3d_medical.cli.arguments import at_least
from mmdet3d_medical.cli.errors import run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('definition', metavar='DATA.yml', help='what the data set is')
    parser.add_argument(
        '--data',
        type=Path,
        metavar='DIR',
        help='where to (default: a folder of data/ with the name of the data set)',
    )
    parser.add_argument(
        '--source',
        type=Path,
        metavar='DIR',
        help='of data that are downloaded: the folder that their page describes',
    )
    parser.add_argument('--workers', type=at_least(1), default=1, help='processes (default 1)')
    parser.add_argument(
        '--record',
        action='store_true',
        help='a new data set: write its hashes and findings beside its definition',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    data = read_data(args.definition)
    root = args.data or data.default_root
    data.make(root, args.workers, *[args.source] * bool(args.source))
    if args.record:
        data.record(root)
    data.check(root)
    print(f'{root}: {data.name}')


if __name__ == '__main__':
    run_tool(main)
