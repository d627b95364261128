"""The JSON index of a converted data set: which scans there are, where, and what lies in them.

The schema is that of :mod:`.index_schema`, see ``docs/data.md``. Positions are world
millimeters (x, y, z), LPS.
"""

import json
import math
import os
import reprlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from pydantic import ValidationError

from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.files import write_json

from .index_schema import FORMAT, INDEX, VERSION, describe
from .scan_ids import refusal


def write_index(path: str | os.PathLike, index: dict) -> None:
    """Validate an index and write it, sorted by scan id, atomically.

    Args:
        path: File to write.
        index: ``{'classes': [...], 'spacing': ..., 'settings': {...}, 'scans': [...]}``.

    Raises:
        ValueError: If the index breaks the schema.
    """
    index = {**index, 'format': FORMAT, 'version': VERSION}
    index = json.loads(json.dumps(index))  # as it will be read: tuples are lists
    validate_index(index, path)
    index['scans'].sort(key=lambda scan: scan['scan_id'])
    write_json(path, index)


def read_index(path: str | os.PathLike) -> dict:
    """Read an index and complete every instance to center, size, diameter, label and ignore.

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
            f'no index at {path}: make one with mmdet3d-medical convert-luna16, convert-volumes '
            'or convert-dicom'
        )
    try:
        index = json.loads(path.read_text(encoding='utf-8-sig'), object_pairs_hook=_unique_keys)
    except RecursionError:
        raise ValueError(f'{path} is not an index of volumes: it is nested too deeply') from None
    except ValueError as error:  # no JSON, no UTF-8, a key twice
        raise ValueError(f'{path} is not valid JSON ({error}): convert the data again') from None
    validate_index(index, path)
    for scan in index['scans']:
        scan['instances'] = [complete_instance(instance) for instance in scan['instances']]
    return index


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict:
    content = dict(pairs)
    if len(content) < len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f'the key "{key}" is there twice in one object')
    return content


def complete_instance(instance: dict) -> dict:
    """Fill in what an instance leaves out.

    A lesion known by its diameter is boxed by the cube around that sphere; one known by its box
    gets the diameter of the ellipsoid's equivalent sphere, the geometric mean of the extents.
    """
    size = instance.get('size') or [instance['diameter']] * 3
    diameter = instance.get('diameter') or math.prod(size) ** (1 / 3)
    return {'label': 0, 'ignore': False, **instance, 'size': size, 'diameter': diameter}


def volume_path(root: str | os.PathLike, scan: dict, allow_outside: bool = False) -> Path:
    """Where the volume of a scan lies.

    Args:
        root: Folder of the index.
        scan: A scan of the index.
        allow_outside: Whether that may be outside the folder. Defaults to False.

    Raises:
        ValueError: If the path leads out of the folder.
    """
    windows = PureWindowsPath(scan['volume'])  # knows drives and both separators
    odd = '\\' in scan['volume'] or not scan['volume'].isprintable()
    leads_out = windows.anchor or '..' in windows.parts or odd
    if leads_out and not allow_outside:
        raise ValueError(
            f'scan {scan["scan_id"]}: the volume {scan["volume"]!r} lies outside the '
            'folder of its index: move it, or say allow_outside (--allow-outside) if '
            'you trust the index'
        )
    return Path(root) / scan['volume']


def validate_index(index: dict, name: str | os.PathLike) -> None:
    """Check an index against the schema of :mod:`.index_schema`, and what that cannot say.

    Args:
        index: The index as read from JSON.
        name: What to call it in messages, usually its path.

    Raises:
        ValueError: Naming the file, the scan and the key, what was found and what was expected.
    """
    if not isinstance(index, dict) or index.get('format') != FORMAT:
        raise ValueError(f'{name} is not an index of volumes: expected "format": "{FORMAT}"')
    if index.get('version') != VERSION:
        raise ValueError(
            f'{name} has version {index.get("version")!r}, this package reads '
            f'version {VERSION}: convert the data again'
        )
    try:
        INDEX.validate_python(index)
    except ValidationError as error:
        raise ValueError(f'{name}: {_first_problem(error, index)}') from None
    _check_unique(index['classes'], f'{name}: the class')
    _check_unique([scan['scan_id'] for scan in index['scans']], f'{name}: the scan id')
    for scan in index['scans']:
        try:
            _check_scan(scan, len(index['classes']))
        except ValueError as error:
            raise ValueError(f'{name}: scan {scan["scan_id"]}: {error}') from None


def _check_unique(names: Sequence[str], what: str) -> None:
    if len({*names}) < len(names):
        name, _ = Counter(names).most_common(1)[0]
        raise ValueError(f'{what} {name} appears twice, each must be unique')


def _check_scan(scan: dict, num_classes: int) -> None:
    VolumeGeometry.from_dict(scan['geometry'])
    for instance in scan['instances']:
        if instance.get('size') is None and instance.get('diameter') is None:
            raise ValueError(f'an instance needs "size" or "diameter" in mm, found {instance}')
        if instance.get('label', 0) >= num_classes:
            raise ValueError(
                f'label {instance.get("label", 0)} is none of the {num_classes} classes'
            )


def _first_problem(error: ValidationError, index: dict) -> str:
    """Where the first problem lies, what was expected there and what was found."""
    problem = error.errors(include_url=False)[0]
    loc, found = problem['loc'], reprlib.repr(problem['input'])
    if problem['type'] == 'dict_type' and isinstance(loc[-1], int):
        return f'{_name_object(loc, index)} must be an object, found {found}'
    where, keys = _name_object(loc[:-1], index), [key for key in loc if isinstance(key, str)]
    if problem['type'] == 'extra_forbidden':
        return f'{where} has an unknown key "{keys[-1]}": is it misspelt?'
    found = 'nothing' if problem['type'] == 'missing' else found
    message = problem['msg'].removeprefix('Value error, ')
    return f'{where} needs "{keys[-1]}": {describe(keys)}, found {found} ({message})'


def _name_object(loc: Sequence[str | int], index: dict) -> str:
    if len(loc) < 2 or loc[0] != 'scans':
        return 'the index'
    scan = index['scans'][loc[1]]
    scan_id = scan.get('scan_id') if isinstance(scan, dict) else None
    known = isinstance(scan_id, str) and not refusal(scan_id)
    instance = f', instance {loc[3]}' if loc[2:3] == ('instances',) and len(loc) > 3 else ''
    return f'scan {loc[1]}{f" ({scan_id})" if known else ""}{instance}'
