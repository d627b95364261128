"""LUNA16 as it is distributed: subset0 .. subset9, three CSV files, lung masks."""
import re
from pathlib import Path

from .annotations import read_annotations
from .cache import ConvertSettings, ScanSource, VolumeCache, convert_scans
from .report import ConversionReport, finish

CLASSES = ('nodule', )
LUNG_FOLDER = 'seg-lungs-LUNA16'


def find_scans(root: str | Path) -> list[ScanSource]:
    """Find the scans of all subsets that are there, sorted by scan id.

    Raises:
        ValueError: If there is none, or one id is in two subsets.
    """
    root = Path(root)
    sources: dict[str, ScanSource] = {}
    for image in sorted(root.glob('subset*/*.mhd')):
        match = re.fullmatch(r'subset(\d+)', image.parent.name)
        if match is None:
            continue
        if image.stem in sources:
            raise ValueError(f'{root}: scan {image.stem} is in {image.parent.name} and in '
                             f'subset{sources[image.stem].subset}; remove one of them')
        mask = root / LUNG_FOLDER / image.name
        sources[image.stem] = ScanSource(image.stem, image, subset=int(match[1]),
                                         lung_mask=mask if mask.exists() else None)
    if not sources:
        raise ValueError(f'{root}: expected scans like subset0/<seriesuid>.mhd, found none')
    return [sources[scan_id] for scan_id in sorted(sources)]


def convert_luna16(root: str | Path, out: str | Path, settings: ConvertSettings,
                   workers: int = 1) -> ConversionReport:
    """Convert LUNA16, or the subsets of it that are there, to a cache with an index.

    Nodules of ``annotations.csv`` become instances; findings of ``annotations_excluded.csv``, if
    present, become instances to ignore, those of unknown diameter with the 10 mm that LUNA16's
    scoring gives them. Scans in ``seriesuids.csv`` without a file are reported as missing.

    Args:
        root: Folder with ``subset*`` and ``annotations.csv``.
        out: Folder of the cache.
        settings: How to convert.
        workers: Processes. Defaults to 1.
    """
    root = Path(root)
    sources = find_scans(root)
    lesions = read_annotations(root / 'annotations.csv', CLASSES)
    excluded = root / 'annotations_excluded.csv'
    if excluded.exists():
        for scan_id, instances in read_annotations(excluded, CLASSES, ignore=True).items():
            lesions.setdefault(scan_id, []).extend(instances)
    records, failures = convert_scans(sources, cache := VolumeCache(out, settings), workers)
    missing = _listed(root, lesions) - {source.scan_id for source in sources}
    return finish(cache, sources, records, failures, lesions, CLASSES, missing)


def _listed(root: Path, lesions: dict[str, list[dict]]) -> set[str]:
    path = root / 'seriesuids.csv'
    listed = set(path.read_text().replace(',', ' ').split()) if path.exists() else set()
    return (listed | set(lesions)) - {'seriesuid'}
