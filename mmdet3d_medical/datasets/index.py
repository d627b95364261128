"""The JSON index of a converted data set: which scans there are, where, and what lies in them.

The schema is documented in ``docs/data.md``. Positions are world millimetres (x, y, z), LPS.
"""
import json
import math
import os
from pathlib import Path
from typing import Any

from mmdet3d_medical.utils.files import write_json

FORMAT = 'mmdet3d_medical/volumes'
VERSION = 1


def write_index(path: str | os.PathLike, index: dict) -> None:
    """Validate an index and write it, sorted by scan id, atomically.

    Args:
        path: File to write.
        index: ``{'classes': [...], 'spacing': ..., 'settings': {...}, 'scans': [...]}``.

    Raises:
        ValueError: If the index breaks the schema.
    """
    scans = sorted(index['scans'], key=lambda scan: scan['scan_id'])
    index = {**index, 'format': FORMAT, 'version': VERSION, 'scans': scans}
    validate_index(index, path)
    write_json(path, index)


def read_index(path: str | os.PathLike) -> dict:
    """Read an index and complete every instance to centre, size, diameter, label and ignore.

    Args:
        path: An ``index.json`` written by a converter or by hand.

    Returns:
        dict: The index, as documented in ``docs/data.md``.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is no JSON or breaks the schema; the message names file and scan.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'no index at {path}: make one with tools/dataset_converters/luna16.py, volumes.py or '
            'dicom.py')
    try:
        index = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f'{path} is not valid JSON ({error}): convert the data again') from None
    validate_index(index, path)
    for scan in index['scans']:
        scan['instances'] = [complete_instance(instance) for instance in scan['instances']]
    return index


def complete_instance(instance: dict) -> dict:
    """Fill in what an instance leaves out.

    A lesion known by its diameter is boxed by the cube around that sphere; one known by its box
    gets the diameter of the ellipsoid's equivalent sphere, the geometric mean of the extents.
    """
    size = instance.get('size') or [instance['diameter']] * 3
    diameter = instance.get('diameter') or math.prod(size) ** (1 / 3)
    return {'label': 0, 'ignore': False, **instance, 'size': size, 'diameter': diameter}


def validate_index(index: dict, name: str | os.PathLike) -> None:
    """Check the schema of an index.

    Args:
        index: The index as read from JSON.
        name: What to call it in messages, usually its path.

    Raises:
        ValueError: Naming the file, the scan, what was found and what was expected.
    """
    if not isinstance(index, dict) or index.get('format') != FORMAT:
        raise ValueError(f'{name} is not an index of volumes: expected "format": "{FORMAT}"')
    if index.get('version') != VERSION:
        raise ValueError(f'{name} has version {index.get("version")!r}, this package reads '
                         f'version {VERSION}: convert the data again')
    for key in ('classes', 'scans'):
        if not isinstance(index.get(key), list):
            raise ValueError(f'{name} needs a list "{key}", found {index.get(key)!r}')
    seen: set[str] = set()
    for number, scan in enumerate(index['scans']):
        _validate_scan(scan, len(index['classes']), f'{name}: scan {number}', seen)


def _validate_scan(scan: dict, num_classes: int, where: str, seen: set[str]) -> None:
    scan_id = scan.get('scan_id')
    if not isinstance(scan_id, str) or not scan_id:
        raise ValueError(f'{where} needs a "scan_id" that is a non-empty string, '
                         f'found {scan_id!r}')
    where = f'{where} ({scan_id})'
    if scan_id in seen:
        raise ValueError(f'{where}: this scan id appears twice, ids must be unique')
    seen.add(scan_id)
    for key, kind in (('volume', str), ('geometry', dict), ('annotated', bool),
                      ('instances', list)):
        if not isinstance(scan.get(key), kind):
            raise ValueError(f'{where} needs "{key}" of type {kind.__name__}, '
                             f'found {scan.get(key)!r}')
    for instance in scan['instances']:
        _validate_instance(instance, num_classes, where)


def _validate_instance(instance: dict, num_classes: int, where: str) -> None:
    if not _are_numbers(instance.get('center'), 3):
        raise ValueError(f'{where}: an instance needs "center": [x, y, z] in mm, found {instance}')
    size, diameter = instance.get('size'), instance.get('diameter')
    if size is None and diameter is None:
        raise ValueError(f'{where}: an instance needs "size" or "diameter" in mm, '
                         f'found {instance}')
    if size is not None and not (_are_numbers(size, 3) and min(size) > 0):
        raise ValueError(f'{where}: "size" must be three positive extents in mm, found {size}')
    if diameter is not None and not (_are_numbers([diameter], 1) and diameter > 0):
        raise ValueError(f'{where}: "diameter" must be positive, found {diameter!r}')
    label = instance.get('label', 0)
    if not (isinstance(label, int) and 0 <= label < num_classes):
        raise ValueError(f'{where}: label {label!r} is none of the {num_classes} classes')


def _are_numbers(values: Any, count: int) -> bool:
    return (isinstance(values, (list, tuple)) and len(values) == count
            and all(isinstance(v, (int, float)) and math.isfinite(v) for v in values))
