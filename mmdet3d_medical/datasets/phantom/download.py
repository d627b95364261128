"""A phantom as LUNA16 reaches its users: archives, with all that is irregular in such folders."""

import csv
import shutil
import zipfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.files import replacing

from .scan import scan_uid
from .settings import PhantomSettings
from .writer import LUNG_FOLDER, SUBSETS, PhantomWriter, write_volume

EMPTY, MISSING = 8, 9  # a subset whose archive holds no scan, and one without an archive
DOUBLED = 0, 5  # the first scan of the first lies in the second too
COMPRESSED = 3  # every third scan
UNMASKED = 2  # scans
ABSENT = '2.25.1'  # a scan of which there are annotations alone
ABSENT_NODULES = 2
EVALUATION = Path('evaluationScript', 'annotations')


def make_luna16_download(
    out: Path, settings: PhantomSettings, scans: int = 30, seed: int = 0, workers: int = 1
) -> dict[str, list[str]]:
    """Write the files that one downloads of LUNA16, of synthetic scans, with every irregularity.

    Subset archives, of which one is empty and one missing; a scan in two subsets; compressed
    volumes (``.zraw``); annotations of a scan that is not there; a nodule outside the lungs of its
    lung mask; scans without a lung mask; the evaluation script's tables in folders of their own. Of
    the scans some are stored turned or upside down, as of all phantoms.

    Args:
        out: Folder, made if missing.
        settings: What the scans look like.
        scans: Number of scans, at least 11. Defaults to 30.
        seed: Of the data set. Defaults to 0.
        workers: Processes. Defaults to 1.

    Returns:
        What the converter has to say of it: titles in its report, and what it lists under each,
        perhaps among others.

    Raises:
        ValueError: If there are so few scans that a subset has none.
    """
    if scans <= SUBSETS:
        raise ValueError(f'expected at least {SUBSETS + 1} scans, found {scans}')
    raw = out / 'raw'
    PhantomWriter(raw, settings, seed).write(scans, workers)
    uids = [scan_uid(seed, index) for index in range(scans)]
    for image in sorted(raw.glob('subset*/*.mhd'))[::COMPRESSED]:
        _compress(image)
    _double(raw, uids[DOUBLED[0]])
    outside = _cut_from_mask(raw, uids)
    lost = [uid for index, uid in enumerate(uids) if index % SUBSETS in (EMPTY, MISSING)]
    unmasked = [uid for uid in uids if uid not in (outside, *lost)][-UNMASKED:]
    for uid in unmasked:
        for path in (raw / LUNG_FOLDER).glob(f'{uid}.*'):
            path.unlink()
    _annotate_absent(raw / 'annotations.csv')
    _pack(raw, out)
    shutil.rmtree(raw)
    return {
        'scans are in several subsets': [uids[DOUBLED[0]]],
        "of LUNA16's subsets are not there": [f'subset{EMPTY}', f'subset{MISSING}'],
        'scans have no lung mask': unmasked,
        'nodules lie outside the lungs of the lung mask and are kept': [outside],
        'listed scans have no file': [*lost, ABSENT],
    }


def _compress(header: Path) -> None:
    image = sitk.ReadImage(str(header))
    array, geometry = sitk.GetArrayFromImage(image), VolumeGeometry.from_sitk(image)
    header.with_suffix('.raw').unlink()
    write_volume(header.parent, header.stem, array, geometry, compress=True)


def _double(raw: Path, uid: str) -> None:
    for path in (raw / f'subset{DOUBLED[0]}').glob(f'{uid}.*'):
        shutil.copy(path, raw / f'subset{DOUBLED[1]}')


def _cut_from_mask(raw: Path, uids: list[str]) -> str:
    """Take a nodule, and what is around it, out of a lung mask; gives the scan."""
    with (raw / 'annotations.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    row = next(row for row in rows if uids.index(row['seriesuid']) % SUBSETS not in
               (*DOUBLED, EMPTY, MISSING))  # fmt: skip
    uid = row['seriesuid']
    image = sitk.ReadImage(str(raw / LUNG_FOLDER / f'{uid}.mhd'))
    labels, geometry = sitk.GetArrayFromImage(image), VolumeGeometry.from_sitk(image)
    center = np.array([[float(row[name]) for name in ('coordX', 'coordY', 'coordZ')]])
    offset = np.indices(labels.shape).reshape(3, -1).T - geometry.world_to_index(center)
    distance = np.linalg.norm(offset * geometry.spacing[::-1], axis=1).reshape(labels.shape)
    labels[distance < float(row['diameter_mm']) / 2] = 0
    write_volume(raw / LUNG_FOLDER, uid, labels, geometry, compress=True)
    return uid


def _annotate_absent(table: Path) -> None:
    with table.open('a') as file:
        for number in range(ABSENT_NODULES):
            file.write(f'{ABSENT},{10 * number},0,0,5\n')


def _pack(raw: Path, out: Path) -> None:
    """Archives as LUNA16 names them, and the one table that is in none."""
    shutil.copy(raw / 'annotations.csv', out)
    for name in ('annotations_excluded.csv', 'seriesuids.csv'):
        (raw / EVALUATION).mkdir(parents=True, exist_ok=True)
        shutil.move(raw / name, raw / EVALUATION / name)
    for folder in (f'subset{MISSING}', f'subset{EMPTY}'):
        shutil.rmtree(raw / folder)
    (raw / f'subset{EMPTY}').mkdir()
    names = (LUNG_FOLDER, EVALUATION.parts[0], *(f'subset{k}' for k in range(SUBSETS)))
    for name in names:
        if (raw / name).is_dir():
            _zip(raw / name, out / f'{name}.zip')


def _zip(folder: Path, archive: Path) -> None:
    with replacing(archive) as scratch, zipfile.ZipFile(scratch, 'w') as file:
        for path in (folder, *sorted(folder.rglob('*'))):
            file.write(path, path.relative_to(folder.parent))
