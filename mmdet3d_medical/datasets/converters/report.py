"""From converted scans and their lesions to the index and the report."""

import csv
import dataclasses
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.files import write_text

from ..index import write_index
from .cache import ScanSource, VolumeCache

MAX_LISTED = 20
LISTS = 'conversion.csv'
FORMULA = ('=', '+', '-', '@')  # what a spreadsheet runs begins so


@dataclasses.dataclass
class ConversionReport:
    """What a conversion made of a data set. Lesions to ignore are not counted."""

    index_path: Path
    scans: int
    lesions: int
    scans_with_lesions: int
    outside: list[str]  # scan id of each lesion outside its volume
    missing: list[str]  # listed scans without a file
    not_cropped: list[str]  # scans without lungs
    failures: dict[str, str]
    not_filled: list[str] = dataclasses.field(default_factory=list)  # beyond the lungs
    table: Table | None = None  # printed first
    notes: dict[str, list[str]] = dataclasses.field(default_factory=dict)  # further lists, by title

    @property
    def lists_path(self) -> Path:
        return self.index_path.with_name(LISTS)

    def lists(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """Title and entries (scan, detail) of each list, empty ones too."""
        for title, names in (
            ('lesions lie outside their volume and count as missed in tests', self.outside),
            ('listed scans have no file', self.missing),
            ('scans have no lungs to crop to and were kept whole', self.not_cropped),
            ('scans have no lungs in a lung mask and were not filled outside', self.not_filled),
            *self.notes.items(),
        ):
            yield title, [(name, '') for name in names]
        yield 'scans FAILED', list(self.failures.items())

    def write(self) -> None:
        """Write all lists, whole, to ``conversion.csv`` beside the index."""
        rows = [(title, *entry) for title, entries in self.lists() for entry in entries]
        write_table(self.lists_path, ('list', 'scan', 'detail'), rows)

    def print(self, console: Console | None = None) -> None:
        """Print counts, then the first entries of every list, and where all of them are."""
        console = console or Console(soft_wrap=True, highlight=False)
        if self.table is not None:
            console.print(self.table)
        console.print(
            f'{self.scans} scans, {self.lesions} lesions in {self.scans_with_lesions} of '
            f'them: {self.index_path}',
            markup=False,
        )
        listed = {title: entries for title, entries in self.lists() if entries}
        for title, entries in listed.items():
            console.print(f'{len(entries)} {title}:', markup=False)
            lines = [': '.join(filter(None, entry)) for entry in entries[:MAX_LISTED]]
            rest = [f'... and {len(entries) - MAX_LISTED} more'] * (len(entries) > MAX_LISTED)
            for line in [*lines, *rest]:
                console.print(f'  {one_line(line)}', markup=False)
        if listed:
            console.print(f'all of these: {self.lists_path}', markup=False)


def one_line(text: str) -> str:
    """Text without characters that break lines or cannot be printed: these are escaped."""
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in text)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file of which each row is a line, and nothing a formula to a spreadsheet."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    write_text(path, file.getvalue())


def _cell(value: object) -> str:
    text = one_line(str(value))
    return f"'{text}" if text.startswith(FORMULA) else text


def finish(
    cache: VolumeCache,
    sources: Sequence[ScanSource],
    records: dict[str, dict],
    failures: dict[str, str],
    lesions: dict[str, list[dict] | None] | None,
    classes: Sequence[str],
    missing: Sequence[str] = (),
    rules: dict | None = None,
    notes_of_lesions: Mapping[str, Mapping[str, str]] | None = None,
) -> ConversionReport:
    """Write the index of the converted scans and the lists of the report.

    Args:
        cache: Where the scans were converted to.
        sources: All scans of the data set.
        records: Records of the converted ones, by scan id.
        failures: Messages by the ids of those that failed.
        lesions: Instances by scan id, no entry where there is no lesion; ``None``, as that of a
            scan, if they are not annotated, except by a mask.
        classes: Class names.
        missing: Ids of scans that are listed somewhere, but have no file.
        rules: By which scans were selected, for the record.
        notes_of_lesions: What to tell of annotations, by title, then scan id.
    """
    scans = [
        _index_scan(cache, source, records[source.scan_id], lesions)
        for source in sources
        if source.scan_id in records
    ]
    spacing = cache.settings.spacing
    path = cache.root / 'index.json'
    settings = dataclasses.asdict(cache.settings) | ({'rules': rules} if rules else {})
    write_index(
        path,
        dict(
            classes=list(classes), spacing=spacing and list(spacing), settings=settings, scans=scans
        ),
    )
    cache.remove_replaced(records)
    counted = [sum(not i['ignore'] for i in scan['instances']) for scan in scans]
    cropped = cache.settings.crop == 'lungs'
    notes: dict[str, list[str]] = {}
    for key, record in sorted(records.items()):
        for title, detail in record.get('notes', {}).items():
            notes.setdefault(title, []).append(f'{key}: {detail}')
    for title, details in (notes_of_lesions or {}).items():
        notes[title] = [f'{key}: {detail}' for key, detail in sorted(details.items())]
    filled = cache.settings.outside is not None
    report = ConversionReport(
        index_path=path,
        scans=len(scans),
        lesions=sum(counted),
        scans_with_lesions=sum(count > 0 for count in counted),
        outside=[scan['scan_id'] for scan in scans for _ in range(count_outside(scan))],
        notes=notes,
        missing=sorted(missing),
        failures=dict(sorted(failures.items())),
        not_cropped=sorted(key for key, r in records.items() if cropped and not r['cropped']),
        not_filled=sorted(key for key, r in records.items() if filled and not r['filled']),
    )
    report.write()
    return report


def _index_scan(
    cache: VolumeCache,
    source: ScanSource,
    record: dict,
    lesions: dict[str, list[dict] | None] | None,
) -> dict:
    listed = None if lesions is None else lesions.get(source.scan_id, [])
    annotated = listed is not None or source.lesion_mask is not None
    instances = record['instances'] + (listed or [])
    volume = cache.volume_path(source.scan_id).relative_to(cache.root)
    patient = {'patient': source.patient} if source.patient else {}
    return dict(
        scan_id=source.scan_id,
        subset=source.subset,
        volume=volume.as_posix(),
        geometry=record['geometry'],
        annotated=annotated,
        instances=instances,
        **patient,
    )


def count_outside(scan: dict) -> int:
    """How many lesions of an index's scan have their center outside the volume."""
    centers = np.array([i['center'] for i in scan['instances'] if not i['ignore']], float)
    geometry = VolumeGeometry.from_dict(scan['geometry'])
    voxels = geometry.world_to_index(centers.reshape(-1, 3)) + 0.5
    return int((~((voxels >= 0) & (voxels < geometry.shape)).all(axis=1)).sum())
