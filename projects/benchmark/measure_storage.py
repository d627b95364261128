"""Measure what each way to store converted volumes costs: bytes, writing, crops, training.

Volumes of a converted data set are written again in every way, into a temporary folder. Crops are
cut as a training does: the file is opened, a random crop is copied, and the file is closed. Files
were just written, so they lie in memory. All ways take turns, so that other work on the machine
slows all of them down; CPU times are those of the one thread that works. Patches a second are
what a data loader delivers of the training pipeline of a config, from the storages that the
converters have, with nobody else at work in the loop.

Example:
    python projects/benchmark/measure_storage.py data/luna16 --scans 2 --workers 2
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmdet3d_medical.apis import load_config
from mmdet3d_medical.cli.arguments import add_config_options, at_least, out_file
from mmdet3d_medical.cli.errors import run_tool
from mmdet3d_medical.datasets import Draw
from mmdet3d_medical.datasets.index import read_index, volume_path, write_index
from mmdet3d_medical.datasets.storage import STORAGES, b2nd
from mmdet3d_medical.datasets.transforms.loading import open_volume
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import write_text
from mmdet3d_medical.utils.random import generator

CONFIG = 'configs/retina3d/retina3d_fpn_luna16.py'
WARM_UP = 8  # patches: until then processes start, and fill what is loaded in advance
MS = 1000
WIDTH = 150  # of the table


class Way(NamedTuple):
    """A way to store volumes: the suffix of a file, and what writes it."""

    suffix: str
    write: Callable[[Path, np.ndarray], object]


class Times(NamedTuple):
    """Of each call, in seconds."""

    clock: list[float]
    cpu: list[float]  # of this thread: that others work on the machine hardly counts

    def add(self, function: Callable) -> None:
        start = time.perf_counter(), time.thread_time()
        function()
        self.clock.append(time.perf_counter() - start[0])
        self.cpu.append(time.thread_time() - start[1])


def _settings(codec: str, level: int, *filters: str) -> tuple[str, Way]:
    def write(path: Path, voxels: np.ndarray) -> None:
        path.write_bytes(b2nd.compress(voxels, codec, level, filters))

    name = f'{codec}-{level}-{"-".join(filters)}'.lower()
    return name, Way(STORAGES['blosc2'].suffix, write)


WAYS = {name: Way(storage.suffix, storage.write) for name, storage in STORAGES.items()} | dict(
    [
        _settings('LZ4', 5, 'SHUFFLE'),
        _settings('LZ4', 5, 'BITSHUFFLE'),
        _settings('LZ4HC', 5, 'SHUFFLE'),
        _settings('ZSTD', 1, 'SHUFFLE'),
        _settings('ZSTD', 1, 'BITSHUFFLE'),
        _settings('ZSTD', 1, 'SHUFFLE', 'BYTEDELTA'),
        _settings('ZSTD', 5, 'SHUFFLE'),
        _settings('ZSTD', 5, 'BITSHUFFLE'),
        _settings('ZSTD', 9, 'SHUFFLE', 'BYTEDELTA'),
    ]
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    count = at_least(1)
    parser.add_argument('data', metavar='DIR', help='converted data, with index.json')
    parser.add_argument('--scans', type=count, metavar='N', help='the first of them (default: all)')
    parser.add_argument(
        '--ways',
        nargs='+',
        choices=WAYS,
        default=list(WAYS),
        metavar='NAME',
        help=f'what is measured: {", ".join(WAYS)} (default: all)',
    )
    parser.add_argument(
        '--sides', type=count, nargs='+', default=[128, 32], help='of crops (default: 128 32)'
    )
    parser.add_argument(
        '--crops', type=count, default=100, help='of each side, in every way (default: 100)'
    )
    parser.add_argument(
        '--config', default=CONFIG, help='whose patches are counted (default: %(default)s)'
    )
    parser.add_argument(
        '--patches', type=at_least(0), default=40, help='of each round, 0 for none (default: 40)'
    )
    parser.add_argument('--rounds', type=count, default=3, help='default: 3')
    parser.add_argument(
        '--workers', type=at_least(0), default=2, help='of the data loader (default: 2)'
    )
    parser.add_argument(
        '--json', type=out_file, metavar='OUT.json', help='write the numbers to this file'
    )
    add_config_options(parser)
    return parser.parse_args()


def write_all(index: dict, source: Path, ways: Sequence[str], root: Path) -> dict[str, Times]:
    """Write all volumes in every way, each a data set of its own, ``root/<way>``."""
    times = {way: Times([], []) for way in ways}
    for way in ways:
        (root / way / 'volumes').mkdir(parents=True)
        write_index(root / way / 'index.json', dict(index, scans=_scans_of(index, way)))
    for scan in track(index['scans'], 'Writing', transient=True):
        voxels = np.array(_open(source, scan))
        for way in ways:
            path = root / way / _volume(scan, way)
            times[way].add(partial(WAYS[way].write, path, voxels))
    return times


def _scans_of(index: dict, way: str) -> list[dict]:
    return [dict(scan, volume=_volume(scan, way)) for scan in index['scans']]


def _volume(scan: dict, way: str) -> str:
    return f'volumes/{scan["scan_id"]}{WAYS[way].suffix}'


def _open(root: Path, scan: dict):
    geometry = VolumeGeometry.from_dict(scan['geometry'])
    return open_volume(str(volume_path(root, scan)), geometry, scan['scan_id'])


def cut_all(
    index: dict, ways: Sequence[str], root: Path, side: int, number: int
) -> dict[str, Times]:
    """Cut random crops, of the whole axis where a volume is smaller, out of all scans in turn."""
    times, rng = {way: Times([], []) for way in ways}, generator('crops', side)
    scans = {way: _scans_of(index, way) for way in ways}
    for count in track(range(number), f'Crops of {side}^3', transient=True):
        place = count % len(index['scans'])
        shape = np.array(index['scans'][place]['geometry']['shape'])
        size = np.minimum(side, shape)
        start = rng.integers(shape - size + 1)
        crop = (slice(None), *map(slice, start, start + size))
        for way in ways:
            times[way].add(partial(_cut, root / way, scans[way][place], crop))
    return times


def _cut(root: Path, scan: dict, crop: tuple[slice, ...]) -> np.ndarray:
    return np.array(_open(root, scan)[None][crop])


def make_loader(cfg: Config, root: Path, workers: int):
    """The data loader of a config's training on another data set, a patch at a time."""
    loader = cfg.train_dataloader.to_dict()
    loader['dataset'].update(data_root=str(root), ann_file='index.json', split=None, subsets=None)
    loader.update(batch_size=1, num_workers=workers, persistent_workers=False)
    return Runner.build_dataloader(loader)


def patches_a_second(cfg: Config, root: Path, workers: int, number: int) -> float:
    patches = iter(make_loader(cfg, root, workers))
    for _ in range(WARM_UP):
        next(patches)
    start = time.perf_counter()
    for _ in range(number):
        next(patches)
    return number / (time.perf_counter() - start)


def train_all(
    cfg: Config, ways: Sequence[str], root: Path, args: argparse.Namespace
) -> dict[str, list[float]]:
    """Patches a second of each round."""
    rounds = {way: [] for way in ways}
    for _ in range(args.rounds):
        for way, found in rounds.items():
            found.append(patches_a_second(cfg, root / way, args.workers, args.patches))
    return rounds


def make_patches(cfg: Config, ways: Sequence[str], root: Path, number: int) -> dict[str, Times]:
    """Make patches in this process, the same ones from every way."""
    torch.set_num_threads(1)  # as in a process of a data loader
    times = {way: Times([], []) for way in ways}
    data = {way: make_loader(cfg, root / way, workers=0).dataset for way in ways}
    for count in track(range(number), 'Patches', transient=True):
        for way in ways:
            draw = Draw(count % len(data[way]), count)
            times[way].add(partial(data[way].__getitem__, draw))
    return times


def measure(args: argparse.Namespace, cfg: Config, root: Path) -> dict[str, dict]:
    """Numbers of every way, by its name."""
    source = Path(args.data)
    index = read_index(source / 'index.json')
    index['scans'] = index['scans'][: args.scans]
    written = write_all(index, source, args.ways, root)
    cut = {side: cut_all(index, args.ways, root, side, args.crops) for side in args.sides}
    trained = [way for way in args.ways if way in STORAGES and args.patches]
    made = make_patches(cfg, trained, root, args.patches)
    rates = train_all(cfg, trained, root, args)
    return {
        way: dict(
            bytes=sum(path.stat().st_size for path in (root / way / 'volumes').iterdir()),
            write_seconds=sum(written[way].cpu),
            crop_seconds={side: statistics.median(times[way].clock) for side, times in cut.items()},
            crop_cpu_seconds={
                side: statistics.median(times[way].cpu) for side, times in cut.items()
            },
            patch_cpu_seconds=statistics.median(made[way].cpu) if way in trained else None,
            patches_a_second=rates.get(way, []),
        )
        for way in args.ways
    }


def print_numbers(numbers: dict[str, dict], args: argparse.Namespace, batch_size: int) -> None:
    columns = [f'{side}^3, {what}' for side in args.sides for what in ('ms', 'CPU ms')]
    rate = f'patches/s, {args.workers} workers'
    table = Table('', 'MB', 'written, CPU s', *columns, 'a patch, CPU ms', rate)
    for way, row in numbers.items():
        times = [
            f'{row[key][side] * MS:.2f}'
            for side in args.sides
            for key in ('crop_seconds', 'crop_cpu_seconds')
        ]
        if rounds := row['patches_a_second']:
            times += [f'{row["patch_cpu_seconds"] * MS:.0f}', f'{statistics.median(rounds):.2f}']
        table.add_row(way, f'{row["bytes"] / 1e6:.2f}', f'{row["write_seconds"]:.2f}', *times)
    console = Console(width=WIDTH, highlight=False)
    console.print(table)
    console.print(
        f'A step of {batch_size} patches that takes T seconds needs {batch_size} / T patches a '
        'second.'
    )


def main() -> None:
    args = parse_args()
    cfg = load_config(args.config, options=args.cfg_options)
    if 'datasets' in cfg.train_dataloader.dataset:
        raise UsageError(f'{args.config} trains on several data sets: give a supervised config')
    init_default_scope(cfg.get('default_scope', 'mmdet3d_medical'))
    with tempfile.TemporaryDirectory() as root:
        numbers = measure(args, cfg, Path(root))
    print_numbers(numbers, args, cfg.train_dataloader.batch_size)
    if args.json:
        content = dict(
            numbers=numbers, scans=args.scans, workers=args.workers, cores=os.cpu_count()
        )
        write_text(args.json, json.dumps(content, indent=2) + '\n')


if __name__ == '__main__':
    run_tool(main)
