"""Lesions from CSV files and from masks."""
import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from mmdet3d_medical.evaluation.functional.froc import UNKNOWN_DIAMETER
from mmdet3d_medical.structures import VolumeGeometry

from .image_io import as_labels, label_boxes, read_image

CENTER = ('coordX', 'coordY', 'coordZ')
SIZE = ('sizeZ', 'sizeY', 'sizeX')  # in the order of the axes of a volume turned to LPS


def read_annotations(path: str | Path,
                     classes: Sequence[str],
                     ignore: bool = False) -> dict[str, list[dict]]:
    """Read lesions from a CSV file in LUNA16's columns.

    Columns: ``seriesuid``, ``coordX``, ``coordY``, ``coordZ`` in world mm (LPS), then
    ``diameter_mm`` or the extents ``sizeX``, ``sizeY``, ``sizeZ`` in mm along the world's axes to
    the left, to the back and to the head, in whatever order the scan's file stores them;
    optionally ``class`` (a name out of ``classes``) and ``ignore`` (0 or 1). In a rotated scan, an
    extent is that along the scan axis nearest to the world's.

    Args:
        path: The CSV file.
        classes: Class names; a row without a class has the first.
        ignore: Whether rows without a value in ``ignore`` are to be ignored in training and
            scoring. Defaults to False.

    Returns:
        Instances, as in the index, of each scan that has any.

    Raises:
        ValueError: Naming file and line, for a missing column, a value that is no number, a
            size that is not positive, or an unknown class.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f'{path}: no such annotation file')
    found: dict[str, list[dict]] = {}
    with path.open(newline='', encoding='utf-8-sig') as file:
        reader = csv.DictReader(file)
        _check_columns(path, reader.fieldnames or [])
        for row in reader:
            try:
                instance = _parse_row(row, classes, ignore)
            except (TypeError, ValueError) as error:
                raise ValueError(f'{path}, line {reader.line_num}: {error}') from None
            found.setdefault(row['seriesuid'].strip(), []).append(instance)
    return found


def csv_classes(path: str | Path) -> list[str]:
    """Names in the ``class`` column of a CSV file, sorted; empty without that column."""
    with Path(path).open(newline='', encoding='utf-8-sig') as file:
        return sorted({row['class'] for row in csv.DictReader(file) if row.get('class')})


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    missing = [name for name in ('seriesuid', *CENTER) if name not in columns]
    if 'diameter_mm' not in columns and not set(SIZE) <= set(columns):
        missing.append('diameter_mm (or sizeX, sizeY, sizeZ)')
    if missing:
        raise ValueError(f'{path}: lacks the columns {", ".join(missing)}; '
                         f'found {", ".join(columns)}')


def _parse_row(row: dict, classes: Sequence[str], ignore: bool) -> dict:
    center = [_number(row[name], name) for name in CENTER]
    if row.get('diameter_mm'):
        diameter = _number(row['diameter_mm'], 'diameter_mm')
        diameter = UNKNOWN_DIAMETER if ignore and diameter < 0 else diameter
        size = [diameter] * 3
    else:
        size = [_number(row.get(name), name) for name in SIZE]
        diameter = _equivalent_diameter(size)
    if not min(size) > 0:
        raise ValueError(f'a lesion must have a positive size in mm, found {size}')
    name = row.get('class') or classes[0]
    if name not in classes:
        raise ValueError(f'class {name!r} is none of {list(classes)}')
    return dict(center=center, size=size, diameter=diameter, label=classes.index(name),
                ignore=_flag(row['ignore']) if row.get('ignore') else ignore)


def _number(text: str | None, name: str) -> float:
    try:
        value = float(text)
    except (TypeError, ValueError):
        raise ValueError(f'{name} must be a number, found {text!r}') from None
    if not math.isfinite(value):
        raise ValueError(f'{name} must be finite, found {text!r}')
    return value


def _flag(text: str) -> bool:
    flags = {'0': False, 'false': False, '1': True, 'true': True}
    if text.strip().lower() not in flags:
        raise ValueError(f'ignore must be 0 or 1, found {text!r}')
    return flags[text.strip().lower()]


def _equivalent_diameter(size: Sequence[float]) -> float:
    return math.prod(max(extent, 0) for extent in size) ** (1 / 3)


def instances_from_mask(path: str | Path, mode: str = 'auto') -> list[dict]:
    """One instance, with its tight box, for each lesion of a mask.

    Args:
        path: An image whose voxels are 0 outside lesions.
        mode: 'components': connected non-zero voxels, also over corners, are one lesion.
            'values': the voxels of one value are one lesion. 'auto': values if there are several,
            else components. Defaults to 'auto'.

    Returns:
        Instances as in the index, in the order of their labels.
    """
    mask = read_image(path)
    labels = as_labels(mask)
    boxes = label_boxes(labels)
    if mode == 'components' or (mode == 'auto' and len(boxes) == 1):
        boxes = label_boxes(sitk.ConnectedComponent(labels != 0, True))
    centers, sizes = VolumeGeometry.from_sitk(mask).box_to_world(
        np.array(list(boxes.values()), float).reshape(-1, 6))
    return [dict(center=center, size=size, diameter=_equivalent_diameter(size), label=0,
                 ignore=False)
            for center, size in zip(centers.tolist(), sizes.tolist(), strict=True)]
