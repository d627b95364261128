"""The JSON index of a converted data set: which scans there are, where, and what lies in them.

The schema is that of :mod:`.index_schema`, see ``docs/data.md``. Positions are world
millimeters (x, y, z), LPS.
"""

import functools
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import Any

from mmdet3d_medical.utils.files import write_json
from mmdet3d_medical.utils.json_stream import read_object, unique_keys

from .index_check import IndexCheck, validate_index
from .index_schema import FORMAT, VERSION
from .packed import Packer

KEPT = 2  # indexes in memory: of labeled and of unlabeled scans
SETTLED_NS = 2_000_000_000  # a younger file may change again in the same tick of its clock


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


def open_index(path: str | os.PathLike) -> dict:
    """Read an index as :func:`read_index`, its scans packed: for data sets of any size.

    A file that stays as it is is read once in a process.

    Args:
        path: As :func:`read_index`.

    Returns:
        dict: The index with :class:`.PackedScans`, to be changed by no one.

    Raises:
        As :func:`read_index`.
    """
    path, stamp = Path(path), _stamp(path)
    settled = stamp is not None and stamp[0] < time.time_ns() - SETTLED_NS
    return {**(_pack(path, stamp) if settled else _pack.__wrapped__(path, stamp))}


def _stamp(path: str | os.PathLike) -> tuple[int, ...] | None:
    """Time, size and number of a file, one of which changes with its content."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


@functools.lru_cache(maxsize=KEPT)
def _pack(path: Path, stamp: tuple[int, ...] | None) -> dict:
    packer = Packer()
    head = _read(path, packer.add)
    return {**head, 'scans': packer.scans()}


def read_index(path: str | os.PathLike) -> dict:
    """Read an index and complete every instance to center, size, diameter, label and ignore.

    Of many thousands of scans, :func:`open_index` is faster and takes less memory.

    Args:
        path: An ``index.json`` written by a converter or by hand.

    Returns:
        dict: The index, as documented in ``docs/data.md``.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is no JSON or breaks the schema; the message names file and scan.
    """
    scans: list[dict] = []
    head = _read(Path(path), scans.append)
    return {**head, 'scans': scans}


def _read(path: Path, keep: Callable[[dict], None]) -> dict:
    """Read an index scan by scan.

    Args:
        path: Of the file.
        keep: Is given the completed scans. An error may come behind it.

    Returns:
        The index, without its scans.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f'no index at {path}: make one with mmdet3d-medical convert-luna16, convert-volumes '
            'or convert-dicom'
        )
    check = IndexCheck(path)

    def take(scan: Any) -> None:
        if check.add(scan):
            scan['instances'] = [complete_instance(instance) for instance in scan['instances']]
            keep(scan)

    try:
        with path.open(encoding='utf-8-sig') as file:
            head = read_object(file, 'scans', take)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, a key twice, another kind of file
        validate_index(_parse(path), path)  # as a whole, to tell where in the file
        raise
    check.finish(head)
    return head


def _parse(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding='utf-8-sig'), object_pairs_hook=unique_keys)
    except RecursionError:
        raise ValueError(f'{path} is not an index of volumes: it is nested too deeply') from None
    except ValueError as error:
        raise ValueError(f'{path} is not valid JSON ({error}): convert the data again') from None


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
    if not allow_outside:
        check_inside(scan)
    return Path(root) / scan['volume']


def check_inside(scan: dict) -> None:
    """Refuse a scan whose volume lies outside the folder of its index.

    Raises:
        ValueError: If the path leads out of the folder.
    """
    if _leads_out(scan['volume']):
        raise ValueError(
            f'scan {scan["scan_id"]}: the volume {scan["volume"]!r} lies outside the '
            'folder of its index: move it, or say allow_outside (--allow-outside) if '
            'you trust the index'
        )


def _leads_out(volume: str) -> bool:
    if '\\' in volume or not volume.isprintable():
        return True
    if volume[0] != '/' and ':' not in volume and '..' not in volume:
        return False  # as almost all are: no need to take it apart
    windows = PureWindowsPath(volume)  # knows drives and both separators
    return bool(windows.anchor) or '..' in windows.parts
