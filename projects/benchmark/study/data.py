"""The data set of a benchmark: phantoms by seed, known by their hashes."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rich.progress import Progress, track

from mmdet3d_medical.datasets.converters import ConvertSettings, convert_luna16
from mmdet3d_medical.datasets.index import read_index
from mmdet3d_medical.datasets.phantom import (
    PhantomSettings,
    PhantomWriter,
    phantom_settings,
    scan_uid,
)
from mmdet3d_medical.datasets.phantom.writer import SUBSETS
from mmdet3d_medical.datasets.splits import make_splits, write_splits
from mmdet3d_medical.evaluation.marks import read_findings
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import write_text

from .files import check_keys, load_yaml
from .nodules import NoduleData, read_nodules
from .truth import Truth, read_rates

PARTS = {'training', 'validation', 'test'}
NEEDED = {'name', 'scans', 'seed', 'spacing', 'subsets', 'labeled', 'unlabeled', 'draws'}
OPTIONAL = {'difficulty', 'shape', 'rates'}
TABLES = ('annotations.csv', 'annotations_excluded.csv')
TOOL = 'python projects/benchmark/make_benchmark.py'


@dataclass(frozen=True)
class BenchmarkData:
    """A data set as its file defines it.

    Attributes:
        path: The file. Beside it lie the hashes of the scans, ``<stem>.sha256``, and the findings
            of the scans that are scored, ``annotations.csv`` and ``annotations_excluded.csv``.
        name: Of the version.
        phantom: What the scans look like.
        scans: How many.
        seed: Of the scans.
        spacing: Voxel size (z, y, x) in mm that they are converted to.
        subsets: Which of the ten subsets are for training, validation and test.
        labeled: Sizes of the lists of labeled scans.
        unlabeled: Sizes of the lists of unlabeled scans.
        draws: How often these lists are drawn; training seed k takes draw k mod ``draws``.
        rates: (R,) false positives per scan at which sensitivity is reported.
    """

    path: Path
    name: str
    phantom: PhantomSettings
    scans: int
    seed: int
    spacing: tuple[float, float, float]
    subsets: Mapping[str, list[int]]
    labeled: tuple[int, ...]
    unlabeled: tuple[int, ...]
    draws: int
    rates: tuple[float, ...]

    per = 'scan'  # what false positives are counted by

    @property
    def default_root(self) -> Path:
        """Where the data are kept unless someone says otherwise."""
        return Path('data') / f'phantom_{self.name}'

    def scan_ids(self, part: str) -> list[str]:
        """Scans of 'training', 'validation' or 'test', sorted."""
        return sorted(
            scan_uid(self.seed, number)
            for number in range(self.scans)
            if number % SUBSETS in self.subsets[part]
        )

    def truth(self, part: str, root: Path | None = None) -> Truth:
        """The committed findings of the scans of a part, whatever the root."""
        nodules, excluded = (read_findings(self.path.with_name(name)) for name in TABLES)
        return Truth(self.scan_ids(part), nodules, excluded, rates=self.rates)

    def split(self, name: str, seed: int) -> str:
        """The list of scans with this name for a training seed, below the root."""
        return f'splits/draw{seed % self.draws}/{name}'

    def make(self, root: Path, workers: int) -> None:
        """Make the scans, convert them and write the lists; what is there is not made again.

        Args:
            root: Folder of the converted data; the scans themselves are in ``raw`` there.
            workers: Processes.

        Raises:
            UsageError: If a scan cannot be converted.
            ValueError: If the folder holds another phantom.
        """
        writer = PhantomWriter(root / 'raw', self.phantom, self.seed)
        with Progress(transient=True) as progress:
            task = progress.add_task('Making scans', total=self.scans)
            writer.write(self.scans, workers, lambda count: progress.advance(task, count))
        settings = ConvertSettings(spacing=self.spacing, crop='lungs')
        report = convert_luna16(root / 'raw', root, settings, workers)
        if report.failures:
            raise UsageError(
                f'{len(report.failures)} scans could not be converted, the first '
                f'error: {next(iter(report.failures.values()))}'
            )
        scans = read_index(root / 'index.json')['scans']
        for draw in range(self.draws):
            lists = make_splits(
                scans,
                self.subsets['training'],
                self.subsets['test'],
                *self._sizes(),
                draw,
            )
            lists |= {name: lists[largest] for name, largest in self._too_long().items()}
            write_splits(
                root / 'splits' / f'draw{draw}',
                {**lists, 'validation': self.scan_ids('validation')},
            )

    def with_scans(self, number: int) -> BenchmarkData:
        """The first scans alone, as another data set: scores on other scans are not compared.

        Lists of labeled scans that would take more than half of the training scans are not made,
        those of unlabeled scans that are too long hold all scans that are left.

        Raises:
            UsageError: If there are not so many, or too few for the shortest labeled list.
        """
        few = replace(self, name=f'{self.name}-{number}', scans=number)
        if number == self.scans:
            return self
        if not 0 < number < self.scans or not few._sizes()[0]:
            raise UsageError(
                f'{self.path}: {number} scans, but there are {self.scans}, and half of those for '
                f'training have to hold the shortest labeled list, {min(self.labeled)}'
            )
        return few

    def _sizes(self) -> tuple[list[int], list[int]]:
        """Sizes of the labeled and unlabeled lists that are drawn."""
        training = len(self.scan_ids('training'))
        if max(self.labeled) + max(self.unlabeled) <= training:
            return list(self.labeled), list(self.unlabeled)
        labeled = [size for size in self.labeled if size <= training // 2]
        rest = training - max(labeled, default=0)
        return labeled, sorted({min(size, rest) for size in self.unlabeled})

    def _too_long(self) -> dict[str, str]:
        """Lists of unlabeled scans that are not drawn, and the longest one that is."""
        _, drawn = self._sizes()
        longest = f'unlabeled_{max(drawn)}'
        return {f'unlabeled_{size}': longest for size in self.unlabeled if size not in drawn}

    def check(self, root: Path) -> None:
        """Refuse data that are not those whose hashes are recorded.

        Raises:
            UsageError: Naming a scan that differs, and how to make it again.
        """
        expected, found = self._recorded(), self._hashes(root)
        expected = {scan: expected[scan] for scan in self._uids() if scan in expected}
        differ = [scan for scan in {**expected, **found} if expected.get(scan) != found.get(scan)]
        if differ:
            raise UsageError(
                f'{root}: the data differ from {self.name}: {len(differ)} scans, the first is '
                f'{differ[0]}. Scores on them cannot be compared with those of {self.name}. '
                f'Delete {root} and regenerate it with "{TOOL} {self.path} --data {root}". If that '
                'gives other scans again, install the versions of requirements/constraints.txt: '
                'others may round differently'
            )

    def record(self, root: Path) -> None:
        """Write the hashes of all scans and the findings of those that are scored.

        Raises:
            UsageError: If hashes are recorded already.
        """
        if self._hash_file.exists():
            raise UsageError(
                f'{self._hash_file} records this data set already. Other data need a '
                'definition of their own, or delete it if nothing was trained on them'
            )
        lines = [f'{digest}  {scan}\n' for scan, digest in self._hashes(root).items()]
        write_text(self._hash_file, ''.join(lines))
        scored = {*self.scan_ids('validation'), *self.scan_ids('test')}
        for name in TABLES:
            write_text(self.path.with_name(name), _rows_of(root / 'raw' / name, scored))

    @property
    def _hash_file(self) -> Path:
        return self.path.with_suffix('.sha256')

    def _recorded(self) -> dict[str, str]:
        if not self._hash_file.is_file():
            raise UsageError(
                f'{self._hash_file}: no hashes are recorded yet, "{TOOL} {self.path} '
                '--record" makes the data and records them'
            )
        lines = [line.split() for line in self._hash_file.read_text().splitlines()]
        return {scan: digest for digest, scan in lines}

    def _hashes(self, root: Path) -> dict[str, str]:
        """SHA-256 of each scan's findings and voxels, by scan id in order."""
        uids = track(enumerate(self._uids()), 'Checking', self.scans, transient=True)
        hashes = {uid: _hash(root / 'raw', uid, number % SUBSETS) for number, uid in uids}
        return dict(sorted(hashes.items()))

    def _uids(self) -> list[str]:
        return [scan_uid(self.seed, number) for number in range(self.scans)]


def read_data(path: str | Path) -> BenchmarkData | NoduleData:
    """Read the definition of a data set.

    Raises:
        UsageError: Naming the file, what was found and what was expected.
    """
    path = Path(path)
    content = load_yaml(path)
    if isinstance(content, dict) and content.get('kind') == 'nodules':
        return read_nodules(path, content)
    check_keys(content, NEEDED | OPTIONAL, NEEDED, str(path))
    check_keys(content['subsets'], PARTS, PARTS, f'{path}: subsets')
    used = [number for part in content['subsets'].values() for number in part]
    if len(set(used)) < len(used) or not set(used) <= set(range(SUBSETS)):
        raise UsageError(
            f'{path}: each of the subsets 0 to {SUBSETS - 1} is for one use at most, '
            f'found {content["subsets"]}'
        )
    if content['draws'] < 1:
        raise UsageError(f'{path}: draws must be at least 1, found {content["draws"]}')
    shape = {'shape': tuple(content['shape'])} if 'shape' in content else {}
    try:
        phantom = phantom_settings(content.get('difficulty', 'default'), **shape)
    except ValueError as error:
        raise UsageError(f'{path}: {error}') from None
    return BenchmarkData(
        path=path,
        name=content['name'],
        phantom=phantom,
        scans=content['scans'],
        seed=content['seed'],
        spacing=tuple(map(float, content['spacing'])),
        subsets=content['subsets'],
        labeled=tuple(content['labeled']),
        unlabeled=tuple(content['unlabeled']),
        draws=content['draws'],
        rates=read_rates(content, str(path)),
    )


def _hash(raw: Path, uid: str, subset: int) -> str | None:
    """None for a scan that is not there."""
    files = raw / 'records' / f'{uid}.json', raw / f'subset{subset}' / f'{uid}.raw'
    if not all(file.is_file() for file in files):
        return None
    return hashlib.sha256(b''.join(file.read_bytes() for file in files)).hexdigest()


def _rows_of(path: Path, scans: Iterable[str]) -> str:
    """The header and those rows of a CSV file that are of these scans."""
    header, *rows = path.read_text().splitlines(keepends=True)
    return header + ''.join(row for row in rows if next(csv.reader([row]))[0] in scans)
