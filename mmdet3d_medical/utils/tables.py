"""The one reader of tables in text files: annotations, marks and lists of scans.

A value that is read as another one ruins a result without a word. So whatever can be understood in
two ways is an error, and every error names file and line.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

DELIMITERS = ',\t;'
_NUMBER = re.compile(r'[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?')


@dataclass(frozen=True)
class Row:
    """A row below the header.

    Attributes:
        where: File and line, for messages.
        cells: Text by column, without blanks around it.
    """

    where: str
    cells: dict[str, str]

    def text(self, column: str) -> str:
        """What a column says; '' without the column.

        Raises:
            ValueError: If there is a character that cannot be printed, such as a new line.
        """
        text = self.cells.get(column, '')
        if not text.isprintable():
            raise ValueError(
                f'{self.where}: {column} must be plain text on one line, found {text!r}'
            )
        return text

    def scan_id(self) -> str:
        """The id in the column ``seriesuid``.

        Raises:
            ValueError: If it is empty.
        """
        if not self.text('seriesuid'):
            raise ValueError(f'{self.where}: expected a scan id in column seriesuid, found none')
        return self.text('seriesuid')

    def number(self, column: str) -> float:
        """A finite number with a decimal point.

        Raises:
            ValueError: For anything else; nothing is guessed from ``1,5`` or ``1.234,5``.
        """
        text = self.cells.get(column, '')
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not math.isfinite(value):
            hint = ' (write a decimal point, and nothing between thousands)' * (',' in text)
            raise ValueError(
                f'{self.where}: {column} must be a finite number, found {text!r}{hint}'
            )
        return value


@dataclass(frozen=True)
class Table:
    """A table with a header.

    Attributes:
        where: File and line of the header, for messages.
        columns: Names of the columns.
        rows: Those below the header that are not empty.
    """

    where: str
    columns: Sequence[str]
    rows: Sequence[Row]

    def require(self, *columns: str) -> Table:
        """The table itself.

        Args:
            *columns: Names that must be there.

        Raises:
            ValueError: Naming the columns that are missing.
        """
        missing = [name for name in columns if name not in self.columns]
        if missing:
            raise ValueError(
                f'{self.where}: expected a header with the columns '
                f'{", ".join(columns)}; it lacks the columns {", ".join(missing)}, '
                f'found {list(self.columns)}'
            )
        return self


def read_table(path: str | Path) -> Table:
    """Read a table with a header, whose order of columns is free.

    Commas, tabs or semicolons stand between the cells, whichever divides the header into most.
    Text is UTF-8, or UTF-16 with a byte order mark; names that end in ``.gz`` are compressed. Empty
    lines and empty cells beyond the last column, as spreadsheets leave them, are left out.

    Raises:
        ValueError: Naming file and line, for a missing file, other data than text, a column named
            twice, or a row that has more or fewer cells than the header.
    """
    header, *rows = [*read_cells(path)] or [(f'{path}, line 1', [])]
    columns = _without_empty_end(header[1])
    repeated = [name for name, count in Counter(columns).items() if name and count > 1]
    if repeated:
        raise ValueError(f'{header[0]}: the column {repeated[0]} is there twice, keep one')
    return Table(header[0], columns, [_row(where, columns, cells) for where, cells in rows])


def read_cells(path: str | Path) -> Iterator[tuple[str, list[str]]]:
    """File and line (for messages) and cells of each line that is not empty, without a header.

    Raises:
        ValueError: As :func:`read_table`, where it is not about the header.
    """
    lines = io.StringIO(_decode(path, _read_bytes(Path(path))), newline='')
    begin = 1
    try:
        delimiter = _delimiter(next((line for line in lines if line.strip()), ''))
        lines.seek(0)
        # Strict: an odd quotation mark would take the rest of the file for one cell.
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield f'{path}, line {begin}', [cell.strip() for cell in cells]
            begin = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(
            f'{path}, line {begin}: expected a row of a CSV file, found other data ({error})'
        ) from None


def _row(where: str, columns: Sequence[str], cells: Sequence[str]) -> Row:
    more = _without_empty_end(cells[len(columns) :])
    if more:
        raise ValueError(
            f'{where}: expected {len(columns)} values as in the header, found more: '
            f'{more} (a comma in place of a decimal point?)'
        )
    if len(cells) < len(columns):
        raise ValueError(
            f'{where}: expected {len(columns)} values as in the header, found '
            f'{len(cells)}: is the line cut off?'
        )
    return Row(where, dict(zip(columns, cells, strict=False)))


def _without_empty_end(cells: Sequence[str]) -> list[str]:
    length = max((number for number, cell in enumerate(cells, 1) if cell), default=0)
    return list(cells[:length])


def _delimiter(header: str) -> str:
    """What divides the header into most cells."""
    return max(DELIMITERS, key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))


def _read_bytes(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(f'{path}: no such file')
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == '.gz' else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f'{path}: expected a CSV file compressed by gzip, found other data ({error})'
        ) from None


def _decode(path: str | Path, content: bytes) -> str:
    wide = content.startswith((b'\xff\xfe', b'\xfe\xff'))
    try:
        text = content.decode('utf-16' if wide else 'utf-8-sig')
    except UnicodeDecodeError as error:
        line = content.count(b'\n', 0, error.start) + 1
        raise ValueError(
            f'{path}: expected a CSV file in UTF-8, found other data in line {line} '
            f'({error.reason}): save the file as UTF-8'
        ) from None
    if '\0' in text:
        line = text.count('\n', 0, text.index('\0')) + 1
        raise ValueError(f'{path}: expected a CSV file in UTF-8, found a NUL byte in line {line}')
    return text
