"""From a folder of DICOM files to a cache with an index and a report."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.table import Table

from mmdet3d_medical.parallel import Workers
from mmdet3d_medical.utils.files import write_text

from ..cache import ConvertSettings, VolumeCache, convert_scans
from ..lidc import READERS
from ..links import linked_folders
from ..report import ConversionReport, finish, one_line, write_table
from ..volumes import annotate, named_scan
from .folders import OPTION, folder_of, take_folders
from .headers import NO_SERIES, NOT_DICOM, ImageHeader, find_files, read_headers
from .patients import KEY, make_key, read_key
from .rules import LeftOutError, Series, SeriesRules, check_series, choose, group_series
from .source import DicomSource
from .words import kernel_word

CONVERTED, LEFT_OUT, FAILED = 'converted', 'left out', 'failed'
NOT_CHOSEN = 'another series of the study'
LINKS = 'links to folders'
LISTED = 'listed series were left out, and their annotations with them'
REPORT = 'report.csv'
HINTS = {NO_SERIES: f'Where series ids are blank, {OPTION} takes each folder as a series'}


@dataclasses.dataclass(frozen=True)
class Row:
    """What became of a series, or of all files without one; a line of ``report.csv``."""

    seriesuid: str
    result: str
    reason: str
    detail: str
    files: int
    thickness_mm: str = ''
    kernel: str = ''


def convert_dicom(
    root: str | Path,
    out: str | Path,
    settings: ConvertSettings,
    rules: SeriesRules | None = None,
    annotations: Sequence[str | Path] = (),
    workers: Workers = 1,
    list_unreadable: str | Path | None = None,
    patient_key: str | Path | None = None,
    by_folder: bool = False,
    readers: int = READERS,
) -> ConversionReport:
    """Convert the series below a folder that the rules allow, one of each study.

    Where the best series of a study cannot be decoded, the next one is taken. ``report.csv`` in the
    folder of the cache tells what became of each series. Nothing that is written or printed
    holds anything about a patient but the ids of series, and a name that stands for the patient,
    which tells nothing without a key (see :func:`.patients.hash_patient`).

    Args:
        root: Folder, searched with all below it.
        out: Folder of the cache.
        settings: How to convert.
        rules: Which series to convert. Defaults to those of :class:`.SeriesRules`.
        annotations: As in :func:`..volumes.convert_volumes`, or XML files of LIDC-IDRI and folders
            of them; scan ids are series ids. Series that have any go before the others of their
            study.
        workers: As in :func:`..cache.convert_scans`. Defaults to 1.
        list_unreadable: File for the paths of DICOM files that cannot be read. Paths may name
            patients, so nothing else tells them.
        patient_key: File with the key, which gives the same names to the same patients in several
            data sets. Defaults to ``patient_key`` in the folder of the cache, made at random.
        by_folder: Whether each folder is one series, and a study, where series ids are blank or are
            in several folders. Its path becomes the scan id, so it must not name a patient.
            Defaults to False.
        readers: As in :func:`..lidc.lesions_of`. Defaults to LUNA16's 3.

    Raises:
        ValueError: If no series is left, annotations are given and none belongs to a series, or
            the key cannot be used, or a folder has no name for a scan.
    """
    rules = rules or SeriesRules()
    files = find_files(root)
    cache = VolumeCache(out, settings)
    key = read_key(patient_key) if patient_key else make_key(cache.root / KEY)
    headers, others = read_headers(files, key, workers, by_folder)
    if by_folder:
        headers = take_folders(headers, root)
    usable, rows = _sort_out(group_series(headers), rules)
    rows += _rows_of_no_series(root, others)
    if list_unreadable:
        bad = [path for reason in others if reason != NOT_DICOM for path in others[reason]]
        write_text(list_unreadable, ''.join(f'{one_line(path)}\n' for path in bad))
    if not usable:
        write_rows(cache.root / REPORT, rows)
        hint = f'. {HINTS[NO_SERIES]}' if NO_SERIES in others else ''
        raise ValueError(
            f'{root}: no series can be used: {_summary(rows)}; {cache.root / REPORT} tells '
            f'why{hint}'
        )
    found = [DicomSource.from_series(series) for series in usable]
    found, lesions, classes, missing, notes = annotate(
        found, annotations, settings.class_names, readers, _reasons(rows)
    )
    sources = {source.scan_id: source for source in found}
    annotated = {key for key, listed in (lesions or {}).items() if listed is not None}
    annotated |= {key for key, source in sources.items() if source.lesion_mask}
    studies = choose(usable, rules, annotated)
    records, failures = _convert_best(studies, sources, cache, workers)
    rows += [_row(series, study, records, failures) for study in studies for series in study]
    write_rows(cache.root / REPORT, rows)
    listed = _left_out_among({*map(named_scan, missing), *annotated}, rows)
    report = finish(
        cache,
        [sources[key] for key in sorted(records)],
        records,
        failures,
        lesions,
        classes,
        [name for name in missing if named_scan(name) not in listed],
        dataclasses.asdict(rules),
        notes | ({LISTED: listed} if listed else {}),
    )
    return dataclasses.replace(report, table=_table(rows))


def _sort_out(
    groups: Mapping[str, list[ImageHeader]], rules: SeriesRules
) -> tuple[list[Series], list[Row]]:
    """Series that the rules allow, and what to report of the others."""
    usable, rows = [], []
    for key, headers in groups.items():
        try:
            usable.append(check_series(headers, rules))
        except LeftOutError as error:
            detail = '; '.join(filter(None, [error.detail, _folders_hint(headers)]))
            rows.append(Row(key, LEFT_OUT, error.reason, detail, len(headers)))
    return usable, rows


def _rows_of_no_series(root: str | Path, others: Mapping[str, list[Path]]) -> list[Row]:
    """Files that are of no series, and links, by number alone: their paths may name patients."""
    rows = [
        Row('', LEFT_OUT, reason, HINTS.get(reason, ''), len(paths))
        for reason, paths in sorted(others.items())
    ]
    links = linked_folders([root])
    return [*rows, *[Row('', LEFT_OUT, LINKS, 'not followed', len(links))] * bool(links)]


def _left_out_among(series: Iterable[str], rows: Iterable[Row]) -> dict[str, str]:
    """Those of some series that were left out, and why."""
    reasons = _reasons(rows)
    return {key: reasons[key] for key in series if key in reasons}


def _reasons(rows: Iterable[Row]) -> dict[str, str]:
    """Why series were left out, by id."""
    return {
        row.seriesuid: ': '.join(filter(None, [row.reason, row.detail]))
        for row in rows
        if row.seriesuid and row.result == LEFT_OUT
    }


def _folders_hint(headers: Iterable[ImageHeader]) -> str:
    """What to do where one id stands for several series, each in a folder of its own."""
    folders = len({folder_of(header) for header in headers})
    return f'in {folders} folders: {OPTION} takes each as a series' if folders > 1 else ''


def _convert_best(
    studies: Iterable[Sequence[Series]],
    sources: Mapping[str, DicomSource],
    cache: VolumeCache,
    workers: Workers,
) -> tuple[dict[str, dict], dict[str, str]]:
    """Convert the first series of each study that can be decoded.

    Returns:
        As :func:`..cache.convert_scans`.
    """
    records, failures = {}, {}
    studies = list(studies)
    while studies:
        best = [sources[study[0].series] for study in studies]
        done, failed = convert_scans(best, cache, workers)
        records |= done
        failures |= failed
        studies = [study[1:] for study in studies if study[0].series in failed and len(study) > 1]
    return records, failures


def _row(
    series: Series,
    study: Sequence[Series],
    records: Mapping[str, dict],
    failures: Mapping[str, str],
) -> Row:
    if series.series in records:
        result = CONVERTED, '', series.note
    elif series.series in failures:
        result = FAILED, 'cannot be converted', failures[series.series]
    else:
        taken = next(other.series for other in study if other.series in records)
        result = LEFT_OUT, NOT_CHOSEN, taken
    return Row(
        series.series,
        *result,
        len(series.paths),
        f'{series.thickness:g}',
        kernel_word(series.kernel),
    )


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write the report, sorted by series id."""
    rows = sorted(rows, key=lambda row: row.seriesuid)
    write_table(
        path, [field.name for field in dataclasses.fields(Row)], map(dataclasses.astuple, rows)
    )


def _count(rows: Iterable[Row]) -> dict[tuple[str, str], list[int]]:
    """Series and files by result and reason, most series first."""
    counts: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        count = counts.setdefault((row.result, row.reason), [0, 0])
        count[0] += bool(row.seriesuid)
        count[1] += row.files
    return dict(sorted(counts.items(), key=lambda item: (item[0][0], -item[1][0], item[0][1])))


def _summary(rows: Iterable[Row]) -> str:
    found = [
        f'{reason}: {series} series, {files} files'
        for (_, reason), (series, files) in _count(rows).items()
    ]
    return '; '.join(found) or 'the folder is empty'


def _table(rows: Iterable[Row]) -> Table:
    table = Table('', 'reason', 'series', 'files')
    for (result, reason), counts in _count(rows).items():
        table.add_row(result, reason, *map(str, counts))
    return table
