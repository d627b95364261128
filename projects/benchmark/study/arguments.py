"""Arguments that tools which look at trained runs share."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Which runs of a table, and where they and their data are."""
    parser.add_argument('--only', nargs='+', default=[], metavar='ROW', help='default: all rows')
    parser.add_argument(
        '--seeds', nargs='+', type=int, default=[], metavar='K', help='default: all of the table'
    )
    parser.add_argument('--data', type=Path, metavar='DIR', help='the data set of the table')
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/benchmark'), metavar='DIR', help='of runs'
    )
