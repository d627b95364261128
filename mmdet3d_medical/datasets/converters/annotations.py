"""Lesions from CSV files."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from mmdet3d_medical.evaluation.functional.froc import UNKNOWN_DIAMETER
from mmdet3d_medical.utils.lesion_rows import (
    CENTER,
    REVIEW,
    check_contradictions,
    check_positive,
    is_ignored,
    is_lesion,
    read_lesion_table,
    read_size,
)
from mmdet3d_medical.utils.tables import Row, read_table


def read_annotations(
    path: str | Path, classes: Sequence[str], ignore: bool = False
) -> dict[str, list[dict]]:
    """Read lesions from a CSV file in LUNA16's columns.

    Columns: ``seriesuid``, ``coordX``, ``coordY``, ``coordZ`` in world mm (LPS), then
    ``diameter_mm`` or the extents ``sizeX``, ``sizeY``, ``sizeZ`` in mm along the world's axes to
    the left, to the back and to the head, in whatever order the scan's file stores them;
    optionally ``class`` (a name out of ``classes``) and ``ignore`` (0 or 1). In a rotated scan, an
    extent is that along the scan axis nearest to the world's. How the file may be written:
    :func:`..utils.tables.read_table`.

    Reports save tables with a column ``review``. Rows that say ``rejected`` in it are no lesions. A
    row that says ``no lesion`` has a scan id and nothing of a lesion: that scan was looked at, and
    there is none.

    Args:
        path: The CSV file.
        classes: Class names; where there is one, rows may leave it out.
        ignore: Whether rows without a value in ``ignore`` are to be ignored in training and
            scoring. Defaults to False.

    Returns:
        Instances, as in the index, of each scan that has a row.

    Raises:
        ValueError: Naming file and line, for what :func:`..utils.tables.read_table` refuses, a
            missing column, a value that is no number, a size that is not positive, a class that is
            unknown or left out among several, or reviews that are unclear or contradict.
    """
    found: dict[str, list[dict]] = {}
    for row in read_lesion_table(path).rows:
        instances = found.setdefault(row.scan_id(), [])
        if is_lesion(row):
            instances.append(_parse_row(row, classes, ignore))
    return found


def read_several(paths: Iterable[str | Path], classes: Sequence[str]) -> dict[str, list[dict]]:
    """Instances as :func:`read_annotations` reads them from each of some files, joined.

    Raises:
        ValueError: As there, also if reviews in two files contradict each other.
    """
    found: dict[str, list[dict]] = {}
    paths = list(paths)
    for path in paths:
        for scan_id, instances in read_annotations(path, classes).items():
            found.setdefault(scan_id, []).extend(instances)
    check_contradictions([row for path in paths for row in read_table(path).rows])
    return found


def are_reviews(paths: Sequence[str | Path]) -> bool:
    """Whether tables are reviews, which tell nothing of the scans that they do not name.

    Raises:
        ValueError: If some are reviews and some are not.
    """
    reviews = [path for path in paths if REVIEW in read_table(path).columns]
    if reviews and len(reviews) < len(paths):
        other = next(path for path in paths if path not in reviews)
        raise ValueError(
            f'{reviews[0]} is a review, {other} is none: of a scan without a row one tells '
            'nothing, the other that it has no lesion. Convert them one after the other'
        )
    return bool(reviews)


def csv_classes(*paths: str | Path) -> list[str]:
    """Names in the ``class`` columns of CSV files, sorted; empty without such a column."""
    return sorted({row.text('class') for path in paths for row in read_table(path).rows} - {''})


def csv_patients(*paths: str | Path) -> dict[str, str]:
    """Patient of each scan by the ``patient`` columns of CSV files; empty without such a column.

    Raises:
        ValueError: If a scan has two patients; the message names both lines.
    """
    first: dict[str, Row] = {}
    rows = (row for path in paths for row in read_table(path).require('seriesuid').rows)
    for row in rows:
        patient = row.text('patient')
        other = first.setdefault(row.scan_id(), row) if patient else row
        if other.text('patient') != patient:
            raise ValueError(
                f'{row.where}: scan {row.scan_id()} has the patient {patient!r}, but '
                f'{other.text("patient")!r} in {other.where}'
            )
    return {scan_id: row.text('patient') for scan_id, row in first.items()}


def _parse_row(row: Row, classes: Sequence[str], ignore: bool) -> dict:
    size, diameter = read_size(row)
    if ignore and diameter < 0:
        diameter = UNKNOWN_DIAMETER
        size = [diameter] * 3
    check_positive(row, size)
    name = row.text('class') or (classes[0] if len(classes) == 1 else '')
    if name not in classes:
        raise ValueError(f'{row.where}: class {name!r} is none of {list(classes)}')
    return dict(
        center=[row.number(name) for name in CENTER],
        size=size,
        diameter=diameter,
        label=classes.index(name),
        ignore=is_ignored(row, ignore),
    )
