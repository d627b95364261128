"""LUNA16 as it is distributed: subset0 .. subset9, CSV files, lung masks."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from rich.progress import track
from rich.table import Table

from mmdet3d_medical.evaluation.marks import check_spelling, read_scan_ids
from mmdet3d_medical.parallel import Workers, map_parallel

from ..index import open_index
from .annotations import read_annotations
from .cache import ConvertSettings, ScanSource, VolumeCache, convert_scans
from .image_io import read_image
from .lung_mask import count_outside_lungs
from .report import ConversionReport, finish

CLASSES = ('nodule',)
LUNG_FOLDER = 'seg-lungs-LUNA16'
EXCLUDED = 'annotations_excluded.csv'
SUBSETS = range(10)
COMPLETE = (888, 601, 1186)  # scans, those with nodules, nodules; from its CSV files


def find_scans(root: str | Path) -> dict[str, list[ScanSource]]:
    """Find the scans of all subsets that are there, however deep: some archives add a folder.

    Returns:
        For each scan id, sorted, its copies, lowest subset first; usually there is one.

    Raises:
        ValueError: If there is none.
    """
    root = Path(root)
    masks = {path.stem: path for path in sorted((root / LUNG_FOLDER).rglob('*.mhd'))}
    found: dict[str, list[ScanSource]] = {}
    for image in sorted(root.rglob('*.mhd')):
        match = re.fullmatch(r'subset(\d+)', image.parent.name)
        if match is not None:
            found.setdefault(image.stem, []).append(
                ScanSource(image.stem, image, subset=int(match[1]), lung_mask=masks.get(image.stem))
            )
    if not found:
        raise ValueError(f'{root}: expected scans like subset0/<seriesuid>.mhd, found none')
    return {
        scan_id: sorted(copies, key=lambda copy: copy.subset)
        for scan_id, copies in sorted(found.items())
    }


def convert_luna16(
    root: str | Path, out: str | Path, settings: ConvertSettings, workers: Workers = 1
) -> ConversionReport:
    """Convert LUNA16, or the subsets of it that are there, to a cache with an index.

    Nodules of ``annotations.csv`` become instances; findings of ``annotations_excluded.csv``, if
    present, become instances to ignore, those of unknown diameter with the 10 mm that LUNA16's
    scoring gives them. Scans in ``seriesuids.csv`` without a file are reported as missing. A scan
    in two subsets belongs to the lower one, and is refused if the copies differ. Nodules outside
    the lungs of the lung mask are kept and reported.

    Args:
        root: Folder with ``subset*`` and ``annotations.csv``.
        out: Folder of the cache.
        settings: How to convert.
        workers: As in :func:`.cache.convert_scans`. Defaults to 1.
    """
    root = Path(root)
    copies = find_scans(root)
    nodules = read_annotations(find_table(root, 'annotations.csv'), CLASSES)
    excluded = _read_excluded(root)
    lesions = {
        scan_id: nodules.get(scan_id, []) + excluded.get(scan_id, [])
        for scan_id in {**nodules, **excluded}
    }
    missing = _missing(root, lesions, copies)
    sources, differing = _settle(copies)
    records, failures = convert_scans(sources, cache := VolumeCache(out, settings), workers)
    failures |= differing
    report = finish(cache, sources, records, failures, lesions, CLASSES, missing)
    present = {copy.subset for found in copies.values() for copy in found}
    notes = {
        "of LUNA16's subsets are not there": [f'subset{k}' for k in SUBSETS if k not in present],
        'table is empty or not there, it comes with the evaluation script': []
        if excluded
        else [EXCLUDED],
        'scans are in several subsets and count for the first that can be read': [
            f'{key}: {", ".join(f"subset{copy.subset}" for copy in found)}'
            for key, found in copies.items()
            if len(found) > 1 and key not in differing
        ],
        'scans have no lung mask': _without_mask(sources, settings),
        'nodules lie outside the lungs of the lung mask and are kept': outside_lungs(
            sources, nodules, workers
        ),
    }
    notes = {**report.notes, **notes}
    report = dataclasses.replace(report, notes=notes, table=_table(report, nodules, missing))
    report.write()
    return report


def find_table(root: Path, name: str) -> Path:
    """A CSV file in a folder, or else below it, as in that of the evaluation script."""
    return next(
        (path for path in (root / name, *sorted(root.rglob(name))) if path.exists()), root / name
    )


def _read_excluded(root: Path) -> dict[str, list[dict]]:
    path = find_table(root, EXCLUDED)
    return read_annotations(path, CLASSES, ignore=True) if path.exists() else {}


def outside_lungs(
    sources: Sequence[ScanSource], nodules: Mapping[str, list[dict]], workers: Workers = 1
) -> list[str]:
    """The scan id of each nodule whose center lies in no lung of the scan's lung mask."""
    asked = [source for source in sources if source.lung_mask and source.scan_id in nodules]
    work = [
        (source.lung_mask, np.array([i['center'] for i in nodules[source.scan_id]]))
        for source in asked
    ]
    counts = track(
        map_parallel(_count_outside, work, workers),
        'Checking nodules',
        total=len(work),
        disable=not work,
    )
    return [
        source.scan_id for source, count in zip(asked, counts, strict=True) for _ in range(count)
    ]


def _count_outside(work: tuple[Path, np.ndarray]) -> int:
    try:
        return count_outside_lungs(*work)
    except ValueError:  # a mask that cannot be read stops the conversions that use it
        return 0


def _settle(copies: Mapping[str, list[ScanSource]]) -> tuple[list[ScanSource], dict[str, str]]:
    """One source for each scan, and messages by the ids of scans whose copies differ."""
    sources, differing = [], {}
    for scan_id, found in copies.items():
        readable = [copy for copy in found if _voxels(copy) is not None] if found[1:] else found
        if any(not _same(readable[0], copy) for copy in readable[1:]):
            differing[scan_id] = (
                f'{" and ".join(str(copy.image) for copy in readable)} are '
                'different scans of the same id: remove the wrong one'
            )
        else:
            sources.append((readable or found)[0])
    return sources, differing


def _same(one: ScanSource, other: ScanSource) -> bool:
    return np.array_equal(_voxels(one), _voxels(other))


def _voxels(source: ScanSource) -> np.ndarray | None:
    try:
        return sitk.GetArrayFromImage(read_image(source.image))
    except ValueError:
        return None


def _without_mask(sources: Iterable[ScanSource], settings: ConvertSettings) -> list[str]:
    used = settings.crop == 'lungs' or settings.outside is not None
    return [source.scan_id for source in sources if used and source.lung_mask is None]


def _missing(root: Path, lesions: Mapping[str, list[dict]], found: Iterable[str]) -> set[str]:
    """Ids in the tables that are no scan's.

    Raises:
        ValueError: If a spreadsheet changed an id.
    """
    path = find_table(root, 'seriesuids.csv')
    listed = read_scan_ids(path) if path.exists() else []
    check_spelling(listed, found, path)
    check_spelling(lesions, found, f'the annotations in {root}')
    return {*listed, *lesions} - {*found}


def _table(
    report: ConversionReport, nodules: Mapping[str, list[dict]], missing: Iterable[str]
) -> Table:
    """What became of all scans and nodules, against the numbers of the whole of LUNA16."""
    groups: dict[str, list[str]] = {}
    for scan in open_index(report.index_path)['scans']:
        groups.setdefault(f'subset{scan["subset"]}', []).append(scan['scan_id'])
    groups = dict(sorted(groups.items(), key=lambda item: int(item[0][6:])))
    groups |= {'failed': list(report.failures), 'without a file': sorted(missing)}
    table = Table('', 'scans', 'with nodules', 'nodules')
    for name, scan_ids in groups.items():
        table.add_row(name, *map(str, count_nodules(scan_ids, nodules)))
    table.add_section()
    every = [scan_id for scan_ids in groups.values() for scan_id in scan_ids]
    table.add_row('together', *map(str, count_nodules(every, nodules)))
    table.add_row('LUNA16 has', *map(str, COMPLETE))
    return table


def count_nodules(
    scan_ids: Sequence[str], nodules: Mapping[str, list[dict]]
) -> tuple[int, int, int]:
    """Numbers of scans, of scans with nodules, and of nodules."""
    counts = [len(nodules.get(scan_id, ())) for scan_id in scan_ids]
    return len(counts), sum(count > 0 for count in counts), sum(counts)
