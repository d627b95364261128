"""Make a data set of synthetic chest CTs with nodules, in LUNA16's layout.

Example:
    python tools/dataset_converters/make_phantom.py data/phantom/raw --scans 200
"""

import argparse
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmdet3d_medical.apis import run_tool
from mmdet3d_medical.datasets.phantom import DIFFICULTIES, PhantomWriter, phantom_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('out', type=Path, metavar='OUT_DIR', help='directory of the data set')
    parser.add_argument('--scans', type=int, required=True, help='number of scans')
    parser.add_argument('--seed', type=int, default=0, help='same seed, same bytes (default 0)')
    nominal = DIFFICULTIES['default']
    parser.add_argument(
        '--shape',
        type=int,
        nargs=3,
        metavar=('Z', 'Y', 'X'),
        default=nominal.shape,
        help=f'nominal voxels, default {nominal.shape}',
    )
    parser.add_argument(
        '--spacing',
        type=float,
        nargs=3,
        metavar=('Z', 'Y', 'X'),
        default=nominal.spacing,
        help=f'nominal mm, default {nominal.spacing}',
    )
    parser.add_argument('--workers', type=int, default=1, help='processes (default 1)')
    parser.add_argument('--difficulty', choices=DIFFICULTIES, default='default')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    settings = phantom_settings(
        args.difficulty, shape=tuple(args.shape), spacing=tuple(args.spacing)
    )
    writer = PhantomWriter(args.out, settings, args.seed)
    columns = TextColumn('phantom'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns) as progress:
        task = progress.add_task('scans', total=args.scans)
        done = writer.write(args.scans, args.workers, lambda count: progress.advance(task, count))
    print(
        f'{args.out}: {done["scans"]} scans ({done["made"]} new, {done["healthy"]} without a '
        f'nodule), {done["nodules"]} nodules, {done["findings"]} excluded findings'
    )


if __name__ == '__main__':
    run_tool(main)
