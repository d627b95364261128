"""What a row of a table says of a lesion: the same to training and to scoring."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from .tables import Row, Table, read_table

CENTER = ('coordX', 'coordY', 'coordZ')
SIZE = ('sizeZ', 'sizeY', 'sizeX')  # in the order of the axes of a volume turned to LPS
REVIEW = 'review'  # a column of the tables that reports save, and what it may say:
REJECTED, NO_LESION = 'rejected', 'no lesion'
REVIEWS = ('', 'accepted', 'added', 'open', REJECTED, NO_LESION)
OF_A_LESION = (*CENTER, 'diameter_mm', *SIZE, 'class', 'probability')


def read_lesion_table(path: str | Path) -> Table:
    """Read a table of lesions: where they are, and their diameter or the extents of their box.

    Raises:
        ValueError: As :func:`.read_table`, for a missing column and for reviews that contradict.
    """
    table = read_table(path)
    extent = SIZE if {*SIZE} <= {*table.columns} else ('diameter_mm',)
    table.require('seriesuid', *CENTER, *extent)
    check_contradictions(table.rows)
    return table


def is_lesion(row: Row) -> bool:
    """Whether a row is about a lesion, by its review.

    Raises:
        ValueError: If the review is unknown, or says that there is no lesion beside a lesion.
    """
    review = row.text(REVIEW)
    if review not in REVIEWS:
        known = ', '.join(filter(None, REVIEWS))
        raise ValueError(f'{row.where}: {REVIEW} must be one of {known}, found {review!r}')
    if review == NO_LESION:
        filled = [column for column in OF_A_LESION if row.text(column)]
        filled += ['ignore'] * is_ignored(row)
        if filled:
            raise ValueError(
                f'{row.where}: says {NO_LESION!r}, but has a value in {", ".join(filled)}: leave '
                f'these empty, or say {REJECTED!r} of a finding that is no lesion'
            )
    return review not in (REJECTED, NO_LESION)


def check_contradictions(rows: Sequence[Row]) -> None:
    """Refuse a scan without a lesion that has one, or a finding nobody judged, in another row.

    Raises:
        ValueError: Naming both rows.
    """
    empty = {row.scan_id(): row for row in rows if row.text(REVIEW) == NO_LESION}
    if not empty:
        return
    for row in rows:
        other = empty.get(row.scan_id())
        if other and row.text(REVIEW) not in (REJECTED, NO_LESION):
            raise ValueError(
                f'{row.where}: has a finding of scan {row.scan_id()}, of which {other.where} says '
                f'{NO_LESION!r}: remove one'
            )


def is_ignored(row: Row, default: bool = False) -> bool:
    """Whether a lesion is neither learned nor scored.

    Args:
        row: The row.
        default: The answer where the row says nothing of it.

    Raises:
        ValueError: If the column ``ignore`` says something else than 0 or 1.
    """
    flags = {'': default, '0': False, 'false': False, '1': True, 'true': True}
    text = row.text('ignore').lower()
    if text not in flags:
        raise ValueError(f'{row.where}: ignore must be 0 or 1, found {text!r}')
    return flags[text]


def read_size(row: Row) -> tuple[list[float], float]:
    """Extents in the order of ``SIZE``, and diameter, in mm.

    The diameter is as stated, whatever that is; else that of the sphere with the box's volume.

    Raises:
        ValueError: If neither the diameter nor positive extents are stated.
    """
    if row.text('diameter_mm') or 'sizeX' not in row.cells:
        diameter = row.number('diameter_mm')
        return [diameter] * 3, diameter
    size = [row.number(name) for name in SIZE]
    check_positive(row, size)
    return size, math.prod(size) ** (1 / 3)


def check_positive(row: Row, size: Sequence[float]) -> None:
    """Refuse a lesion without an extent.

    Raises:
        ValueError: Naming the row.
    """
    if not min(size) > 0:
        raise ValueError(f'{row.where}: a lesion must have a positive size in mm, found {size}')
