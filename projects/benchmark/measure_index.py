"""Measure what data sets of many scans take before the first voxel is read: seconds and memory.

Makes an index of random scans of N and of 2 N scans in a temporary folder, so that growth is seen,
and for ``check-dataset`` tiny volumes too. Each task runs in a process of its own, whose peak holds
what the imports take; seconds do not. Nothing is known of disks: files come from the cache.

Example:
    python projects/benchmark/measure_index.py --scans 50000 --volumes 5000
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import random
import resource
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

MOST_LESIONS = 6  # three a scan, on average
SHAPE = (16, 24, 24)  # of a tiny volume, voxels of 1 mm
FROM_VOLUME = 8  # mm between a lesion and the end of its volume
SAMPLES = 1000  # whose information is asked for
COLUMNS = ('seconds', 'CPU seconds', 'peak MB', 'imports MB')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--scans', type=int, default=50_000, help='N (default: 50000)')
    parser.add_argument(
        '--volumes', type=int, default=5_000, help='N for check-dataset (default: 5000)'
    )
    parser.add_argument('--tasks', nargs='+', choices=TASKS, default=list(TASKS), metavar='TASK')
    return parser.parse_args()


def make_scan(number: int) -> dict:
    """A scan as a converter describes it: a long id, coordinates of all digits."""
    rng = random.Random(number)
    origin = [rng.uniform(-400, 0) for _ in range(3)]
    return dict(
        scan_id=f'1.3.6.1.4.1.14519.5.2.1.6279.6001.{rng.randrange(10**38, 10**39)}',
        subset=None,
        patient=f'{rng.getrandbits(128) // 3:032x}',
        volume=f'volumes/{number}.npy',
        geometry=dict(
            origin=origin,
            spacing=[1.0, 1.0, 1.0],
            direction=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            shape=list(SHAPE),
        ),
        annotated=rng.random() < 0.9,
        instances=[make_lesion(rng, origin) for _ in range(rng.randint(0, MOST_LESIONS))],
    )


def make_lesion(rng: random.Random, origin: list[float]) -> dict:
    size = [rng.uniform(3, 8) for _ in range(3)]
    ends = [length - FROM_VOLUME for length in SHAPE[::-1]]
    center = [
        start + rng.uniform(FROM_VOLUME, end) for start, end in zip(origin, ends, strict=True)
    ]
    return dict(center=center, size=size, label=0, ignore=rng.random() < 0.1)


def write_data(folder: Path, scans: int, with_volumes: bool) -> None:
    """Write an index as converters lay it out, without having it in memory."""
    with (folder / 'index.json').open('w') as file:
        file.write('{\n "classes": [\n  "nodule"\n ],\n "format": "mmdet3d_medical/volumes",\n')
        file.write(' "scans": [\n')
        file.writelines(_lines(scans))
        file.write('\n ],\n "settings": {},\n "spacing": null,\n "version": 1\n}\n')
    (folder / 'volumes').mkdir()
    for number in range(scans * with_volumes):
        voxels = np.random.default_rng(number).integers(-1000, 400, SHAPE).astype(np.int16)
        np.save(folder / f'volumes/{number}.npy', voxels)


def _lines(scans: int) -> Iterator[str]:
    for number in range(scans):
        text = json.dumps(make_scan(number), indent=1, sort_keys=True)
        yield ',\n' * (number > 0) + textwrap.indent(text, '  ')


def read(folder: Path) -> Callable:
    index = import_module('mmdet3d_medical.datasets.index')
    return lambda: index.open_index(folder / 'index.json')


def read_as_dicts(folder: Path) -> Callable:
    index = import_module('mmdet3d_medical.datasets.index')
    return lambda: index.read_index(folder / 'index.json')


def make_splits(folder: Path) -> Callable:
    return _command('make-splits', folder / 'index.json', '--labeled', 100, '--unlabeled', 400)


def check_dataset(folder: Path) -> Callable:
    return _command('check-dataset', folder / 'index.json')


def _command(name: str, *arguments: object) -> Callable:
    """What a command does after its imports; what it prints is left out."""
    args = import_module('mmdet3d_medical.cli.main').parse(name, [*map(str, arguments)])
    module = import_module(f'mmdet3d_medical.cli.{name.replace("-", "_")}')

    def run() -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            module.main(args)

    return run


def build_data_set(folder: Path) -> Callable:
    datasets = import_module('mmdet3d_medical.datasets')
    return lambda: datasets.VolumeDetDataset(str(folder))


def ask_for_samples(folder: Path) -> Callable:
    dataset = build_data_set(folder)()
    numbers = random.Random(0).choices(range(len(dataset)), k=SAMPLES)
    return lambda: [dataset.get_data_info(number) for number in numbers]


TASKS = {
    'read': read,
    'read-as-dicts': read_as_dicts,
    'make-splits': make_splits,
    'data-set': build_data_set,
    f'{SAMPLES}-samples': ask_for_samples,
    'check-dataset': check_dataset,
}


def measure(task: str, folder: Path) -> list[float]:
    """Numbers of :data:`COLUMNS` for a task, in a process that has done nothing before."""
    run = TASKS[task](folder)
    before, wall, cpu = peak_mb(), time.perf_counter(), time.process_time()
    kept = run()
    numbers = [time.perf_counter() - wall, time.process_time() - cpu, peak_mb(), before]
    del kept  # what a data set holds counts until here
    return numbers


def peak_mb() -> float:
    """The most memory that this process has had, in MB (1e6 bytes)."""
    status = Path('/proc/self/status')
    if status.is_file():  # getrusage counts the parent too, there
        line = next(line for line in status.read_text().splitlines() if line.startswith('VmHWM'))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measure_alone(task: str, folder: Path) -> list[float]:
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, task, folder).result()


def main() -> None:
    args = parse_args()
    table = Table('task', 'scans', *COLUMNS)
    for with_volumes, smaller in ((False, args.scans), (True, args.volumes)):
        tasks = [task for task in args.tasks if (task == 'check-dataset') == with_volumes]
        for scans in (smaller, 2 * smaller) if tasks else ():
            with tempfile.TemporaryDirectory() as folder:
                write_data(Path(folder), scans, with_volumes)
                for task in tasks:
                    numbers = measure_alone(task, Path(folder))
                    table.add_row(task, str(scans), *(f'{value:.2f}' for value in numbers))
    Console().print(table)


if __name__ == '__main__':
    main()
