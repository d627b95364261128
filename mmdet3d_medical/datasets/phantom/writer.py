"""Phantom scans on disk, in LUNA16's layout."""

import csv
import io
import json
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.files import staged, write_text

from .scan import PhantomScan, make_scan, scan_uid
from .settings import PhantomSettings

FORMAT = 2  # raise when the same seed and settings give other bytes
SUBSETS = 10
LUNG_FOLDER = 'seg-lungs-LUNA16'
HEADER = ('seriesuid', 'coordX', 'coordY', 'coordZ', 'diameter_mm')


@dataclass(frozen=True)
class PhantomWriter:
    """Makes a phantom data set in ``out``; what is complete there already is not made again.

    A scan's record in ``records``, written last, says that it is complete and holds its table rows.

    Args:
        out: Directory of the data set.
        settings: What the scans look like.
        seed: Seed of the data set.
    """

    out: Path
    settings: PhantomSettings
    seed: int

    def write(
        self, scans: int, workers: int = 1, on_scan: Callable[[int], None] = lambda count: None
    ) -> dict:
        """Make the scans 0 to ``scans`` - 1 and the tables over every scan in the directory.

        Args:
            scans: Number of scans.
            workers: Processes; the result does not depend on it.
            on_scan: Called with the number of scans finished since the last call.

        Returns:
            Numbers of ``scans``, ``made`` (new ones), ``healthy``, ``nodules`` and excluded
            ``findings``.

        Raises:
            ValueError: If ``scans`` or ``workers`` is not positive, the seed is negative, or
                ``out`` holds a data set of another seed or other settings.
        """
        limits = ('scans', scans, 1), ('workers', workers, 1), ('seed', self.seed, 0)
        for name, value, least in limits:
            if value < least:
                raise ValueError(f'{name} must be at least {least}, got {value}')
        self._claim()
        missing = [index for index in range(scans) if not self._is_complete(index)]
        on_scan(scans - len(missing))
        if workers == 1:
            for index in missing:
                self.write_scan(index)
                on_scan(1)
        else:
            self._write_parallel(missing, workers, on_scan)
        return {**self._write_tables(), 'made': len(missing)}

    def _write_parallel(self, missing, workers, on_scan) -> None:
        # ITK's threads do not survive a fork.
        with ProcessPoolExecutor(workers, multiprocessing.get_context('spawn')) as pool:
            for done in as_completed([pool.submit(self.write_scan, i) for i in missing]):
                done.result()
                on_scan(1)

    def write_scan(self, index: int) -> None:
        """Make one scan and write its image, lung mask and record."""
        scan = make_scan(self.settings, self.seed, index)
        image = self.out / f'subset{index % SUBSETS}'
        write_volume(image, scan.uid, scan.volume, scan.geometry)
        write_volume(self.out / LUNG_FOLDER, scan.uid, scan.lungs, scan.geometry, compress=True)
        write_text(self._record_path(index), json.dumps(_record(scan)))

    def _is_complete(self, index: int) -> bool:
        uid = scan_uid(self.seed, index)
        image = self.out / f'subset{index % SUBSETS}' / uid
        mask = self.out / LUNG_FOLDER / uid
        files = [f'{image}.mhd', f'{image}.raw', f'{mask}.mhd', f'{mask}.zraw']
        return all(map(os.path.exists, [*files, self._record_path(index)]))

    def _record_path(self, index: int) -> Path:
        return self.out / 'records' / f'{scan_uid(self.seed, index)}.json'

    def _claim(self) -> None:
        """Note whose directory this is, or refuse one that is another's."""
        # Through JSON, which knows no tuples, so that it compares with what a file says.
        mine = json.loads(json.dumps({'format': FORMAT, 'seed': self.seed} | asdict(self.settings)))
        path = self.out / 'phantom.json'
        if path.exists():
            self._refuse_other(json.loads(path.read_text()), mine)
        elif self.out.exists() and any(p.name[:1] != '.' for p in self.out.iterdir()):
            raise ValueError(f'{self.out} holds files but no phantom: choose another directory')
        write_text(path, json.dumps(mine, indent=1) + '\n')

    def _refuse_other(self, theirs: dict, mine: dict) -> None:
        differ = [key for key in {**theirs, **mine} if theirs.get(key) != mine.get(key)]
        if differ:
            found = ', '.join(f'{k} {theirs.get(k)} (asked for: {mine.get(k)})' for k in differ)
            raise ValueError(
                f'{self.out} holds another phantom: {found}. '
                'Choose another directory, or delete this one'
            )

    def _write_tables(self) -> dict:
        """Write the CSV files over all records, sorted by uid; returns the counts."""
        records = [json.loads(p.read_text()) for p in sorted((self.out / 'records').glob('*.json'))]
        nodules = [row for record in records for row in record['nodules']]
        findings = [row for record in records for row in record['findings']]
        with staged(self.out) as folder:
            write_text(folder / 'annotations.csv', _table([HEADER, *nodules]))
            write_text(folder / 'annotations_excluded.csv', _table([HEADER, *findings]))
            write_text(folder / 'seriesuids.csv', _table([[record['uid']] for record in records]))
        healthy = sum(not record['nodules'] for record in records)
        return {
            'scans': len(records),
            'healthy': healthy,
            'nodules': len(nodules),
            'findings': len(findings),
        }


def write_volume(
    folder: Path, uid: str, array: np.ndarray, geometry: VolumeGeometry, compress: bool = False
) -> None:
    """Write ``folder/uid.mhd`` with its ``.raw`` (``.zraw`` if compressed), see
    :func:`.staged`.

    Args:
        folder: Directory, made if missing.
        uid: Name of the files.
        array: Volume (D, H, W).
        geometry: Its geometry.
        compress: Whether to compress the voxels.

    Raises:
        OSError: Naming the file, if it cannot be written.
    """
    image = sitk.GetImageFromArray(array)
    image.SetOrigin(geometry.origin)
    image.SetSpacing(geometry.spacing)
    image.SetDirection(geometry.direction)
    with staged(folder) as scratch:
        try:
            sitk.WriteImage(image, str(scratch / f'{uid}.mhd'), useCompression=compress)
        except RuntimeError as error:  # ITK's, for a full disk too
            reason = str(error).strip().splitlines()[-1]
            raise OSError(f'{folder / uid}.mhd cannot be written: {reason}') from None


def _record(scan: PhantomScan) -> dict:
    """A scan's table rows; as in LUNA16, every nodule also lies in an excluded finding."""
    nodules = [_row(scan.uid, n) for n in scan.nodules]
    findings = [_row(scan.uid, f) for f in scan.findings if f.listed]
    return {'uid': scan.uid, 'nodules': nodules, 'findings': nodules + findings}


def _row(uid: str, lesion) -> list[str]:
    """A line of the tables: uid, center (x, y, z) in mm, diameter in mm."""
    return [uid, *(f'{value:.6g}' for value in (*lesion.center, lesion.diameter))]


def _table(rows: list) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows(rows)
    return text.getvalue()
