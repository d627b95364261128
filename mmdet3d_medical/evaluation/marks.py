"""Marks, findings and scan lists: plain arrays, and the CSV files LUNA16 keeps them in.

Positions are world millimetres (x, y, z) in LPS. Scan ids are strings and never become numbers.
Files with names that end in ``.gz`` are compressed.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

from mmdet3d_medical.utils.files import write_bytes

_CENTER = ('coordX', 'coordY', 'coordZ')
_MARK_COLUMNS = ('seriesuid', *_CENTER, 'probability', 'diameter_mm')
_NUMBER = re.compile(r'[+-]?(\d+\.?\d*)([eE][+-]?\d+)?')


class Findings(NamedTuple):
    """Lesions as annotated.

    Attributes:
        scan_ids: N strings.
        centers: (N, 3) float64, mm.
        diameters: (N,) float64, mm; negative means unknown.
        classes: N class names, '' where the file names none.
    """

    scan_ids: Sequence[str]
    centers: np.ndarray
    diameters: np.ndarray
    classes: Sequence[str]

    @classmethod
    def from_rows(cls, rows: Iterable[tuple]) -> Findings:
        """From any number of (scan id, (x, y, z) mm, diameter mm, class name)."""
        ids, centers, diameters, classes = _columns(rows, 4)
        return cls(
            ids, np.reshape(centers, (-1, 3)).astype(float), np.array(diameters, float), classes
        )

    def of_class(self, name: str) -> Findings:
        """The findings of one class and those without any."""
        return _take(self, [c in ('', name) for c in self.classes])


class Marks(NamedTuple):
    """Detections.

    Attributes:
        scan_ids: N strings.
        centers: (N, 3) float64, mm.
        scores: (N,) float64, higher is surer.
        diameters: (N,) float64, mm; NaN where not stated.
        classes: N class names, '' where the file names none.
    """

    scan_ids: Sequence[str]
    centers: np.ndarray
    scores: np.ndarray
    diameters: np.ndarray
    classes: Sequence[str]

    @classmethod
    def from_rows(cls, rows: Iterable[tuple]) -> Marks:
        """From any number of (scan id, (x, y, z) mm, score, diameter mm, class name)."""
        ids, centers, scores, diameters, classes = _columns(rows, 5)
        return cls(
            ids,
            np.reshape(centers, (-1, 3)).astype(float),
            np.array(scores, float),
            np.array(diameters, float),
            classes,
        )

    def of_class(self, name: str) -> Marks:
        """The marks of one class and those without any."""
        return _take(self, [c in ('', name) for c in self.classes])


def read_marks(path: str | Path) -> Marks:
    """Read marks.

    Args:
        path: CSV with the columns ``seriesuid, coordX, coordY, coordZ, probability`` and, where
            known, ``diameter_mm`` and ``class``, in any order; other columns are ignored. Tabs or
            semicolons may stand between them.

    Raises:
        ValueError: Naming file and line, for a missing file or column, a value that is not a
            finite number or a row with more values than there are columns.
    """
    rows = _read_table(path, (*_CENTER, 'probability'), optional=('diameter_mm',))
    return Marks.from_rows((scan, xyz[:3], xyz[3], xyz[4], name) for scan, xyz, name in rows)


def read_findings(path: str | Path) -> Findings:
    """Read annotations or excluded findings.

    Args:
        path: CSV with the columns ``seriesuid, coordX, coordY, coordZ, diameter_mm`` and
            optionally ``class``, in any order.

    Raises:
        ValueError: As ``read_marks``.
    """
    rows = _read_table(path, (*_CENTER, 'diameter_mm'))
    return Findings.from_rows((scan, xyz[:3], xyz[3], name) for scan, xyz, name in rows)


def read_scan_ids(path: str | Path) -> list[str]:
    """Read a list of scans: one id a line, the first column if there are more, header optional.

    Raises:
        ValueError: If the file is missing or lists no scan.
    """
    with _open(path) as file:
        lines = (line for line in file if line.strip())
        rows = (next(csv.reader([line], delimiter=_delimiter(line))) for line in lines)
        ids = [row[0].strip() for row in rows if row[0].strip()]
    ids = ids[1:] if ids[:1] == ['seriesuid'] else ids
    if not ids:
        raise ValueError(f'{path} lists no scan, expected one scan id a line')
    return ids


def respelt_id(scan_ids: Iterable[str], known: Iterable[str]) -> tuple[str, str] | None:
    """The first id that is a known one as a spreadsheet writes it, and the known one.

    Spreadsheets take ids for numbers where they can: 00783 becomes 783, 126000001 1.26E+08.
    """
    numbers = [scan for scan in known if _NUMBER.fullmatch(scan)]
    spelt: dict[int | None, dict] = {}
    for scan in dict.fromkeys(scan_ids):
        parts = _NUMBER.fullmatch(scan)
        if not parts:
            continue
        digits = len(parts[1].replace('.', '')) - 1 if parts[2] else None
        if digits not in spelt:
            spelt[digits] = {_rounded(number, digits): number for number in numbers}
        if _rounded(scan, digits) in spelt[digits]:
            return scan, spelt[digits][_rounded(scan, digits)]
    return None


def _rounded(number: str, digits: int | None) -> Decimal | str:
    """A number as such, or with so many digits after the first."""
    exact = Decimal(number)
    return exact if digits is None else f'{exact:.{digits}e}'


def write_marks(path: str | Path, marks: Marks) -> None:
    """Write marks in LUNA16's submission columns, then ``diameter_mm``, then ``class`` if any.

    Scores keep the nine digits that tell any two float32 apart. Names that end in ``.gz`` are
    compressed, equal marks to equal bytes. The file is written whole or not at all.
    """
    named = any(marks.classes)
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow((*_MARK_COLUMNS, 'class') if named else _MARK_COLUMNS)
    for scan, center, score, diameter, name in zip(*marks, strict=True):
        size = '' if math.isnan(diameter) else f'{diameter:.4f}'
        row = [scan, *(f'{value:.4f}' for value in center), f'{score:.9g}', size]
        writer.writerow([*row, name] if named else row)
    content = text.getvalue().encode()
    packed = gzip.compress(content, mtime=0) if Path(path).suffix == '.gz' else content
    write_bytes(path, packed)


@contextmanager
def _open(path: str | Path) -> Iterator[TextIO]:
    path = Path(path)
    if not path.is_file():
        raise ValueError(f'{path}: no such file')
    open_ = gzip.open if path.suffix == '.gz' else open
    with open_(path, 'rt', newline='', encoding='utf-8-sig') as file:
        try:
            yield file
        except (UnicodeDecodeError, csv.Error, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f'{path}: expected a CSV file in UTF-8, found other data ({error})'
                             ) from None


def _read_table(path: str | Path, numbers: Sequence[str], optional: Sequence[str] = ()):
    """Rows (scan id, values of ``numbers`` and ``optional``, class name) of a CSV file."""
    with _open(path) as file:
        reader = _dict_reader(file)
        found = reader.fieldnames
        missing = [name for name in ('seriesuid', *numbers) if name not in found]
        if missing:
            raise ValueError(
                f'{path}, line 1: expected a header with the columns seriesuid, '
                f'{", ".join(numbers)}; {", ".join(missing)} not among {found}'
            )
        return [_parse(row, numbers, optional, f'{path}, line {1 + reader.line_num}')
                for row in reader]


def _dict_reader(file: TextIO) -> csv.DictReader:
    """Reader of a table whose header tells what stands between the columns."""
    header = file.readline()
    delimiter = _delimiter(header)
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    return csv.DictReader(file, names, delimiter=delimiter, skipinitialspace=True)


def _delimiter(line: str) -> str:
    return next((mark for mark in ',\t;' if mark in line), ',')


def _parse(row: dict, numbers: Sequence[str], optional: Sequence[str], where: str):
    if any(row.get(None, ())):
        raise ValueError(f'{where}: expected {len(row) - 1} values as in line 1, found more: '
                         f'{row[None]} (a comma in place of a decimal point?)')
    try:
        values = [float(row[name]) for name in numbers]
        extra = [float(row.get(name) or 'nan') for name in optional]
    except (TypeError, ValueError):
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        found = {name: row.get(name) for name in (*numbers, *optional)}
        raise ValueError(f'{where}: expected finite numbers, found {found}')
    if not (row['seriesuid'] or '').strip():
        raise ValueError(f'{where}: expected a scan id in column seriesuid, found none')
    return row['seriesuid'].strip(), values + extra, row.get('class') or ''


def _columns(rows: Iterable[tuple], width: int) -> list[tuple]:
    return list(zip(*rows, strict=True)) or [()] * width


def _take(table, chosen: Sequence[bool]):
    rows = [row for row, wanted in zip(zip(*table, strict=True), chosen, strict=True) if wanted]
    return type(table).from_rows(rows)
