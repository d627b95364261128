"""The data set of a benchmark: windows of real CT around LUNA16's nodules."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmdet3d_medical.datasets.converters import ConvertSettings, convert_node21_crops
from mmdet3d_medical.datasets.converters.node21_crops import instances_inside
from mmdet3d_medical.datasets.index import read_index, write_index
from mmdet3d_medical.datasets.splits import write_splits
from mmdet3d_medical.evaluation.marks import Findings
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import write_text
from mmdet3d_medical.utils.random import generator

from .files import check_keys
from .truth import Truth, read_rates

PARTS = ('training', 'validation', 'test')
NEEDED = {'kind', 'name', 'seed', 'window', 'series', 'held_out', 'labeled', 'unlabeled', 'draws'}
OPTIONAL = {'rates'}
WINDOW = '_window'  # behind the id of a cube
LITERS = 5  # about those of a pair of lungs


@dataclass(frozen=True)
class NoduleData:
    """Cubes of node21challenge/node21_generation_baseline, split by the CT that they come from.

    All cubes have a nodule in their middle. Where they are scored each is cut to a window at
    random, so that the middle says nothing.

    Attributes:
        path: The file. Beside it lies ``<stem>.sha256``, a hash of all voxels and findings.
        name: Of the version.
        seed: Of the parts and the windows.
        window: Side of the windows in voxels of 1 mm.
        series: How many CTs are for 'training', 'validation' and 'test'.
        held_out: Series ids of CTs that are for neither.
        labeled: Numbers of labeled CTs in the lists.
        unlabeled: Numbers of unlabeled CTs in the lists.
        draws: How often these lists are drawn; training seed k takes draw k mod ``draws``.
        rates: (R,) false positives per 5 liters at which sensitivity is reported.
    """

    path: Path
    name: str
    seed: int
    window: int
    series: dict[str, int]
    held_out: tuple[str, ...]
    labeled: tuple[int, ...]
    unlabeled: tuple[int, ...]
    draws: int
    rates: tuple[float, ...]

    per = f'{LITERS} liters'  # what false positives are counted by

    @property
    def default_root(self) -> Path:
        """Where the data are kept unless someone says otherwise."""
        return Path('data') / self.name

    def split(self, name: str, seed: int) -> str:
        """The list of scans with this name for a training seed, below the root."""
        return f'splits/draw{seed % self.draws}/{name}'

    def truth(self, part: str, root: Path | None = None) -> Truth:
        """The findings in the windows of a part."""
        root = root or self.default_root
        wanted = {*(root / self.split(f'{part}.txt', 0)).read_text().split()}
        rows: dict[bool, list] = {False: [], True: []}
        for scan in read_index(root / 'index.json')['scans']:
            for found in scan['instances'] if scan['scan_id'] in wanted else ():
                row = scan['scan_id'], found['center'], found['diameter'], ''
                rows[found['ignore']].append(row)
        share = self.window**3 / (LITERS * 1e6)
        findings = map(Findings.from_rows, (rows[False], rows[True]))
        return Truth(sorted(wanted), *findings, share, self.rates)

    def make(self, root: Path, workers: int, source: Path | None = None) -> None:
        """Convert the cubes, cut the windows and write the lists; of these, what is not there yet.

        Args:
            root: Folder of the converted data.
            workers: Processes.
            source: Folder with ``nodule_patches`` below it, and with LUNA16's ``annotations.csv``
                and ``annotations_excluded.csv``.

        Raises:
            UsageError: If there is no source, or a cube cannot be converted.
            ValueError: If the source is incomplete.
        """
        if (root / self.split('test.txt', self.draws - 1)).is_file():  # written last
            self._write_lists(root)
            return
        if source is None:
            raise UsageError(
                f'{root} has no data yet: make them with make_benchmark.py {self.path} --source '
                'DIR, a folder with the cubes and tables that its page names'
            )
        tables = source / 'annotations.csv', source / 'annotations_excluded.csv'
        report = convert_node21_crops(source, root, ConvertSettings(), *tables, workers)
        if report.failures:
            raise UsageError(f'not converted: {next(iter(report.failures.values()))}')
        index = read_index(root / 'index.json')
        parts = self._parts({scan['patient'] for scan in index['scans']})
        scored = {*parts['validation'], *parts['test']}
        windows = [self._cut(scan, root) for scan in index['scans'] if scan['patient'] in scored]
        write_index(root / 'index.json', {**index, 'scans': [*index['scans'], *windows]})
        self._write_lists(root)

    def _write_lists(self, root: Path) -> None:
        """The lists of each draw, if one is missing: the definition may have come to want more."""
        names = [f'labeled_{n}.txt' for n in self.labeled]
        names += ['test.txt', *(f'unlabeled_{n}.txt' for n in self.unlabeled)]
        wanted = [root / self.split(name, draw) for draw in range(self.draws) for name in names]
        if all(path.is_file() for path in wanted):
            return
        scans = read_index(root / 'index.json')['scans']
        windows = [scan for scan in scans if scan['scan_id'].endswith(WINDOW)]
        windows.sort(key=lambda scan: scan['scan_id'].removesuffix(WINDOW))  # as their cubes
        cubes = [scan for scan in scans if not scan['scan_id'].endswith(WINDOW)]
        parts = self._parts({scan['patient'] for scan in scans})
        for draw in range(self.draws):
            lists = self._lists(cubes, windows, parts, draw)
            write_splits(root / 'splits' / f'draw{draw}', lists)

    def _parts(self, series: set[str]) -> dict[str, list[str]]:
        """Series ids of each part."""
        usable = sorted(series - {*self.held_out})
        if len(usable) < sum(self.series.values()):
            raise UsageError(
                f'{self.path} wants {sum(self.series.values())} series, there are {len(usable)}'
            )
        order = [usable[k] for k in generator('parts', self.seed).permutation(len(usable))]
        ends = np.cumsum([self.series[part] for part in PARTS])
        starts = [0, *ends]
        return {
            part: order[start:end] for part, start, end in zip(PARTS, starts, ends, strict=False)
        }

    def _cut(self, cube: dict, root: Path) -> dict:
        """A random window of a cube, saved beside it, as a scan of the index."""
        voxels = np.load(root / cube['volume'])
        number = int.from_bytes(hashlib.sha256(cube['scan_id'].encode()).digest()[:4], 'big')
        room = np.maximum(np.array(voxels.shape) - self.window, 0)
        start = generator('windows', self.seed, number).integers(room + 1)
        part = voxels[tuple(slice(a, a + self.window) for a in start)]
        geometry = VolumeGeometry.from_dict(cube['geometry']).cropped(start, part.shape)
        scan_id = cube['scan_id'] + WINDOW
        volume = f'volumes/{scan_id}.npy'
        np.save(root / volume, part)
        return {
            **cube,
            'scan_id': scan_id,
            'volume': volume,
            'geometry': geometry.to_dict(),
            'instances': instances_inside(cube['instances'], geometry),
        }

    def _lists(
        self, cubes: list[dict], windows: list[dict], parts: dict[str, list[str]], draw: int
    ) -> dict[str, list[str]]:
        """Scan ids of each list of a draw."""

        def ids(scans: list[dict], series: Sequence[str]) -> list[str]:
            return [scan['scan_id'] for scan in scans if scan['patient'] in {*series}]

        train = parts['training']
        order = [train[k] for k in generator('labels', self.seed, draw).permutation(len(train))]
        behind = max(self.labeled)
        return {
            'train': ids(cubes, train),
            'validation': ids(windows, parts['validation']),
            'test': ids(windows, parts['test']),
            **{f'labeled_{number}': ids(cubes, order[:number]) for number in self.labeled},
            **{
                f'unlabeled_{number}': ids(cubes, order[behind : behind + number])
                for number in self.unlabeled
            },
        }

    def check(self, root: Path) -> None:
        """Refuse data that are not those whose hash is recorded.

        Raises:
            UsageError: If they differ, or no hash is recorded.
        """
        if not self._hash_file.is_file():
            raise UsageError(f'{self._hash_file}: no hash is recorded yet, --record does it')
        if self._hash_file.read_text().split()[0] != _hash(root):
            raise UsageError(
                f'{root}: the data differ from {self.name}, so scores cannot be compared: delete '
                'it and make it again'
            )

    def record(self, root: Path) -> None:
        """Write the hash of all voxels and findings.

        Raises:
            UsageError: If one is recorded already.
        """
        if self._hash_file.exists():
            raise UsageError(f'{self._hash_file} records this data set already')
        write_text(self._hash_file, f'{_hash(root)}  {self.name}\n')

    @property
    def _hash_file(self) -> Path:
        return self.path.with_suffix('.sha256')


def read_nodules(path: Path, content: dict[str, Any]) -> NoduleData:
    """Check what a file says of the data set.

    Raises:
        UsageError: Naming the file, what was found and what was expected.
    """
    check_keys(content, NEEDED | OPTIONAL, NEEDED, str(path))
    check_keys(content['series'], {*PARTS}, {*PARTS}, f'{path}: series')
    if content['draws'] < 1:
        raise UsageError(f'{path}: draws must be at least 1, found {content["draws"]}')
    wanted = max(content['labeled']) + max(content['unlabeled'], default=0)
    if wanted > content['series']['training']:
        raise UsageError(
            f'{path}: {wanted} labeled and unlabeled series are wanted of '
            f'{content["series"]["training"]} for training'
        )
    values = {key: content[key] for key in ('name', 'seed', 'window', 'series', 'draws')}
    lists = {key: tuple(content[key]) for key in ('held_out', 'labeled', 'unlabeled')}
    return NoduleData(path=path, **values, **lists, rates=read_rates(content, str(path)))


def _hash(root: Path) -> str:
    digest = hashlib.sha256()
    for scan in sorted(read_index(root / 'index.json')['scans'], key=lambda scan: scan['scan_id']):
        findings = [[i['center'], i['size'], i['ignore']] for i in scan['instances']]
        digest.update(f'{scan["scan_id"]} {findings}'.encode())
        digest.update((root / scan['volume']).read_bytes())
    return digest.hexdigest()
