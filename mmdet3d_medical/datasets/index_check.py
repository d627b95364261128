"""Whether an index is as its schema says, and messages that name what is not."""

from __future__ import annotations

import os
import reprlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from mmdet3d_medical.structures.geometry import check_direction

from .index_schema import FORMAT, INDEX, SCAN, VERSION, describe
from .scan_ids import refusal


class IndexCheck:
    """Checks an index against the schema of :mod:`.index_schema`, and what that cannot say.

    Scans come one by one, before the rest or behind it. What is wrong with them is told at the end:
    it does not matter in a file that is no index.

    Args:
        name: What to call the index in messages, usually its path.
    """

    def __init__(self, name: str | os.PathLike) -> None:
        self._name = name
        self._problem: str | None = None
        self._scan_ids: list[str] = []
        self._first_with: dict[int, str] = {}  # label: scan

    def add(self, scan: Any) -> bool:
        """Check the next scan; whether it and those before are right."""
        if self._problem is None:
            self._problem = _problem_of(scan, len(self._scan_ids))
        if self._problem is not None:
            return False
        self._scan_ids.append(scan['scan_id'])
        for instance in scan['instances']:
            self._first_with.setdefault(instance.get('label', 0), scan['scan_id'])
        return True

    def finish(self, index: Any) -> None:
        """Check the index without its scans, and tell what is wrong with anything.

        Args:
            index: With an empty list in place of the scans.

        Raises:
            ValueError: Naming the file, the scan and the key, what was found and what was expected.
        """
        _check_kind(index, self._name)
        try:
            INDEX.validate_python(index)
        except ValidationError as error:
            raise ValueError(f'{self._name}: {_first_problem(error)}') from None
        _check_unique(index['classes'], f'{self._name}: the class')
        if self._problem is not None:
            raise ValueError(f'{self._name}: {self._problem}')
        _check_unique(self._scan_ids, f'{self._name}: the scan id')
        count = len(index['classes'])
        for label, scan_id in self._first_with.items():
            if label >= count:
                raise ValueError(
                    f'{self._name}: scan {scan_id}: label {label} is none of the {count} classes'
                )


def validate_index(index: Any, name: str | os.PathLike) -> None:
    """Check an index that is in memory.

    Args:
        index: The index as read from JSON.
        name: What to call it in messages, usually its path.

    Raises:
        ValueError: As :meth:`IndexCheck.finish`.
    """
    check = IndexCheck(name)
    _check_kind(index, name)
    if isinstance(index.get('scans'), list):
        for scan in index['scans']:
            check.add(scan)
        index = {**index, 'scans': []}
    check.finish(index)


def _check_kind(index: Any, name: str | os.PathLike) -> None:
    if not isinstance(index, dict) or index.get('format') != FORMAT:
        raise ValueError(f'{name} is not an index of volumes: expected "format": "{FORMAT}"')
    if index.get('version') != VERSION:
        raise ValueError(
            f'{name} has version {index.get("version")!r}, this package reads '
            f'version {VERSION}: convert the data again'
        )


def _check_unique(names: Sequence[str], what: str) -> None:
    if len({*names}) < len(names):
        name, _ = Counter(names).most_common(1)[0]
        raise ValueError(f'{what} {name} appears twice, each must be unique')


def _problem_of(scan: Any, number: int) -> str | None:
    try:
        SCAN.validate_python(scan)
    except ValidationError as error:
        return _first_problem(error, ('scans', number), scan)
    try:
        check_direction(tuple(map(float, scan['geometry']['direction'])))
    except ValueError as error:
        return f'scan {scan["scan_id"]}: {error}'
    for instance in scan['instances']:
        if instance.get('size') is None and instance.get('diameter') is None:
            return (
                f'scan {scan["scan_id"]}: an instance needs "size" or "diameter" in mm, found '
                f'{instance}'
            )
    return None


def _first_problem(error: ValidationError, above: tuple = (), scan: Any = None) -> str:
    """Where the first problem lies, what was expected there and what was found.

    Args:
        error: Of the index or, at the place ``above`` in it, of a scan.
        above: Keys and numbers that lead to the scan.
        scan: The scan.
    """
    problem = error.errors(include_url=False)[0]
    loc, found = above + problem['loc'], reprlib.repr(problem['input'])
    if problem['type'] == 'dict_type' and isinstance(loc[-1], int):
        return f'{_name_object(loc, scan)} must be an object, found {found}'
    where, keys = _name_object(loc[:-1], scan), [key for key in loc if isinstance(key, str)]
    if problem['type'] == 'extra_forbidden':
        return f'{where} has an unknown key "{keys[-1]}": is it misspelt?'
    found = 'nothing' if problem['type'] == 'missing' else found
    message = problem['msg'].removeprefix('Value error, ')
    return f'{where} needs "{keys[-1]}": {describe(keys)}, found {found} ({message})'


def _name_object(loc: Sequence[str | int], scan: Any) -> str:
    if len(loc) < 2 or loc[0] != 'scans':
        return 'the index'
    scan_id = scan.get('scan_id') if isinstance(scan, dict) else None
    known = isinstance(scan_id, str) and not refusal(scan_id)
    instance = f', instance {loc[3]}' if loc[2:3] == ('instances',) and len(loc) > 3 else ''
    return f'scan {loc[1]}{f" ({scan_id})" if known else ""}{instance}'
