"""Marks, findings and scan lists: plain arrays, and the CSV files LUNA16 keeps them in.

Positions are world millimeters (x, y, z) in LPS. Scan ids are strings and never become numbers.
Files with names that end in ``.gz`` are compressed.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmdet3d_medical.utils.files import write_bytes
from mmdet3d_medical.utils.lesion_rows import CENTER, is_lesion, read_lesion_table, read_size
from mmdet3d_medical.utils.tables import Row, read_cells, read_table

_SIZE = ('sizeX', 'sizeY', 'sizeZ')
_MARK_COLUMNS = ('seriesuid', *CENTER, 'probability', 'diameter_mm')
_UNKNOWN_SIZE = (math.nan,) * 3
_KEPT_DIGITS = 15
_ENDING = re.compile(r'\.(nii|nii\.gz|nrrd|nhdr|mhd|mha|npy|dcm)$', re.IGNORECASE)
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
        sizes: (N, 3) float64, extents of the box in mm along the world's axes x, y, z, in a rotated
            scan along the scan axes nearest to them; NaN where not stated.
    """

    scan_ids: Sequence[str]
    centers: np.ndarray
    scores: np.ndarray
    diameters: np.ndarray
    classes: Sequence[str]
    sizes: np.ndarray

    @classmethod
    def from_rows(cls, rows: Iterable[tuple]) -> Marks:
        """From any number of (scan id, (x, y, z) mm, score, diameter mm, class name).

        The extents (x, y, z) in mm may follow.
        """
        rows = (row if len(row) > 5 else (*row, _UNKNOWN_SIZE) for row in rows)
        ids, centers, scores, diameters, classes, sizes = _columns(rows, 6)
        return cls(
            ids,
            np.reshape(centers, (-1, 3)).astype(float),
            np.array(scores, float),
            np.array(diameters, float),
            classes,
            np.reshape(sizes, (-1, 3)).astype(float),
        )

    def of_class(self, name: str) -> Marks:
        """The marks of one class and those without any."""
        return _take(self, [c in ('', name) for c in self.classes])

    def of_score(self, lowest: float) -> Marks:
        """The marks of this score and above, as scores are written: one read from a file stays."""
        return _take(self, [float(_spell_score(score)) >= lowest for score in self.scores])

    def extents(self) -> np.ndarray:
        """(N, 3) mm along the world's axes x, y, z: those stated, else the diameter.

        NaN where neither is stated.
        """
        cubes = np.repeat(self.diameters[:, None], 3, axis=1)
        return np.where(np.isnan(self.sizes), cubes, self.sizes)


def read_marks(path: str | Path) -> Marks:
    """Read marks.

    Args:
        path: CSV with the columns ``seriesuid, coordX, coordY, coordZ, probability`` and, where
            known, ``diameter_mm``, the extents ``sizeX, sizeY, sizeZ`` and ``class``, in any
            order; other columns are ignored. Tabs or semicolons may stand between them.

    Raises:
        ValueError: Naming file and line, for a missing file or column, a value that is not a
            finite number, an extent that is not positive or stated without the others, or a row
            with more or fewer values than there are columns.
    """
    table = read_table(path).require('seriesuid', *CENTER, 'probability')
    return Marks.from_rows(
        (
            row.scan_id(),
            [row.number(name) for name in CENTER],
            row.number('probability'),
            row.number('diameter_mm') if row.text('diameter_mm') else math.nan,
            row.text('class'),
            _read_size(row),
        )
        for row in table.rows
    )


def _read_size(row: Row) -> Sequence[float]:
    if not any(row.text(name) for name in _SIZE):
        return _UNKNOWN_SIZE
    size = [row.number(name) for name in _SIZE]
    if min(size) <= 0:
        raise ValueError(f'{row.where}: expected sizes above 0 mm, found {size}')
    return size


def read_findings(path: str | Path) -> Findings:
    """Read findings that all count alike, such as excluded ones.

    Of annotations, some may count neither way: :func:`.truth.read_truth` tells these apart.

    Args:
        path: CSV with the columns ``seriesuid, coordX, coordY, coordZ``, then ``diameter_mm`` or
            ``sizeX, sizeY, sizeZ``, and optionally ``class``, in any order. Rows whose ``review``
            says that there is no lesion are left out.

    Raises:
        ValueError: As ``read_marks``; also for reviews that are unclear or contradict.
    """
    rows = read_lesion_table(path).rows
    return Findings.from_rows(finding_of(row) for row in rows if is_lesion(row))


def finding_of(row: Row) -> tuple[str, list[float], float, str]:
    """Scan id, center and diameter in mm and class of a lesion, for :class:`Findings`.

    Raises:
        ValueError: If one is missing or malformed.
    """
    center = [row.number(name) for name in CENTER]
    return row.scan_id(), center, read_size(row)[1], row.text('class')


def read_scan_ids(path: str | Path) -> list[str]:
    """Read a list of scans: one id a line, the first column if there are more, header optional.

    Raises:
        ValueError: If the file is missing or no text, or lists no scan.
    """
    ids = [cells[0] for _, cells in read_cells(path) if cells[0]]
    ids = ids[1:] if ids[:1] == ['seriesuid'] else ids
    if not ids:
        raise ValueError(f'{path} lists no scan, expected one scan id a line')
    return ids


def check_spelling(
    found: Iterable[str],
    known: Iterable[str],
    path: str | Path,
    source: str | Path = 'the scans',
) -> None:
    """Refuse ids that differ from known ones only in how they are written.

    Numbers as a spreadsheet writes them, another case, a folder before, an ending behind.

    Such an id would else be that of a scan that is not there, and its scan one without a row.

    Args:
        found: Ids in a file.
        known: Ids of the scans.
        path: The file.
        source: Where the ids of the scans are from.

    Raises:
        ValueError: Naming the file, both ids and what to do.
    """
    found, known = {*found}, {*known}
    unknown, unused = sorted(found - known), sorted(known - found)
    if not (unknown and unused):
        return
    pair = respelt_id(unknown, unused) or respelt_id(unused, unknown)
    if pair:
        raise ValueError(
            f'{path} and {source} write the same number as {" and ".join(pair)}, and scan ids are '
            'text. A spreadsheet turns them into numbers: write the file without one, or with '
            'that column as text'
        )
    plain = {_plain(scan): scan for scan in unused}
    alike = next((scan for scan in unknown if _plain(scan) in plain), None)
    if alike:
        raise ValueError(
            f'{path} names {alike}, {source} have {plain[_plain(alike)]}: ids must be equal to the '
            'letter, without folders, endings of files or quotes, in the same case'
        )


def _plain(scan_id: str) -> str:
    """An id without what people and programs add to it or change in it."""
    name = re.split(r'[/\\]', unicodedata.normalize('NFC', scan_id).strip('\'"= '))[-1]
    return _ENDING.sub('', name).casefold()


def respelt_id(scan_ids: Iterable[str], known: Iterable[str]) -> tuple[str, str] | None:
    """The first id that is a known one as a spreadsheet writes it, and the known one.

    Spreadsheets take ids for numbers where they can: 00783 becomes 783, 126000001 1.26E+08, and
    of 18 digits the last three become 0.
    """
    numbers = [scan for scan in known if _NUMBER.fullmatch(scan)]
    spelled: dict[int | None, dict] = {}
    for scan in dict.fromkeys(scan_ids):
        parts = _NUMBER.fullmatch(scan)
        if not parts:
            continue
        digits = len(parts[1].replace('.', '')) - 1 if parts[2] else None
        if digits not in spelled:
            spelled[digits] = {_rounded(number, digits): number for number in numbers}
            if digits is None:
                spelled[None] |= {_kept(number): number for number in numbers if _kept(number)}
        if _rounded(scan, digits) in spelled[digits]:
            return scan, spelled[digits][_rounded(scan, digits)]
    return None


def _rounded(number: str, digits: int | None) -> Decimal | str:
    """A number as such, or with so many digits after the first."""
    exact = Decimal(number)
    return exact if digits is None else f'{exact:.{digits}e}'


def _kept(number: str) -> Decimal | None:
    """What a spreadsheet keeps of a number of many digits: the first 15."""
    digits = number.lstrip('0')
    many = digits.isdecimal() and len(digits) > _KEPT_DIGITS
    return Decimal(digits[:_KEPT_DIGITS].ljust(len(digits), '0')) if many else None


def write_marks(path: str | Path, marks: Marks) -> None:
    """Write marks in LUNA16's submission columns, then what else is known of them.

    That is ``diameter_mm``, then the extents ``sizeX, sizeY, sizeZ`` in mm if any mark states them,
    then ``class`` if any has one; what a mark does not state is left empty. Scores keep the nine
    digits that tell any two float32 apart. Names that end in ``.gz`` are compressed, equal marks to
    equal bytes. The file is written whole or not at all.
    """
    named, sized = any(marks.classes), not np.isnan(marks.sizes).all()
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow([*_MARK_COLUMNS, *_SIZE * sized, *['class'] * named])
    for scan, center, score, diameter, name, size in zip(*marks, strict=True):
        millimeters = [diameter, *size] if sized else [diameter]
        row = [scan, *(f'{value:.4f}' for value in center), _spell_score(score)]
        row += ['' if math.isnan(value) else f'{value:.4f}' for value in millimeters]
        writer.writerow([*row, name] if named else row)
    content = text.getvalue().encode()
    packed = gzip.compress(content, mtime=0) if Path(path).suffix == '.gz' else content
    write_bytes(path, packed)


def _columns(rows: Iterable[tuple], width: int) -> list[tuple]:
    return list(zip(*rows, strict=True)) or [()] * width


def _take(table, chosen: Sequence[bool]):
    rows = [row for row, wanted in zip(zip(*table, strict=True), chosen, strict=True) if wanted]
    return type(table).from_rows(rows)


def _spell_score(score: float) -> str:
    return f'{score:.9g}'
