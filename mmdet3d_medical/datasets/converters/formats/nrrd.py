"""NRRD: ``.nrrd`` with the voxels behind the header, ``.nhdr`` with files of voxels."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .layout import NO_DIRECTION, NO_ORIGIN, Layout, numbered

DTYPES = {
    **dict.fromkeys(('signed char', 'int8', 'int8_t'), 'i1'),
    **dict.fromkeys(('uchar', 'unsigned char', 'uint8', 'uint8_t'), 'u1'),
    **dict.fromkeys(('short', 'short int', 'signed short', 'signed short int', 'int16',
                     'int16_t'), 'i2'),
    **dict.fromkeys(('ushort', 'unsigned short', 'unsigned short int', 'uint16', 'uint16_t'), 'u2'),
    **dict.fromkeys(('int', 'signed int', 'int32', 'int32_t'), 'i4'),
    **dict.fromkeys(('uint', 'unsigned int', 'uint32', 'uint32_t'), 'u4'),
    **dict.fromkeys(('longlong', 'long long', 'long long int', 'signed long long',
                     'signed long long int', 'int64', 'int64_t'), 'i8'),
    **dict.fromkeys(('ulonglong', 'unsigned long long', 'unsigned long long int', 'uint64',
                     'uint64_t'), 'u8'),
    'float': 'f4', 'double': 'f8',
}  # fmt: skip
SIZES = {'spacedirections', 'spacings'}
ENCODINGS = {'raw': 'raw', 'gzip': 'gzip', 'gz': 'gzip', 'bzip2': 'bzip2', 'bz2': 'bzip2',
             'txt': 'text', 'text': 'text', 'ascii': 'text'}  # fmt: skip
# Spaces that ITK turns to LPS, without hyphens and blanks; any other it takes for LPS as it is.
KNOWN_SPACES = {'leftposteriorsuperior', 'lps', 'rightanteriorsuperior', 'ras',
                'leftanteriorsuperior', 'las'}  # fmt: skip
MIRRORED_SPACE = '3dlefthanded'
UNITS = 'mm', 'millimeter', 'millimeters', '', '???'


def layout(path: Path) -> Layout:
    """Read a header.

    Raises:
        ValueError: If it is none.
        KeyError: If a field is missing, or says something unknown.
    """
    fields, names, end = _read_fields(path)
    encoding = ENCODINGS[fields['encoding'].lower()]
    _check_lengths(fields)
    files = _files(path, fields, names)
    skip = int(fields.get('byteskip', 0))
    here = end if files == (path,) else 0
    for _ in range(lines := int(fields.get('lineskip', 0))):
        if len(files) > 1 or encoding != 'raw':
            raise ValueError(f'it skips {lines} lines of compressed or several files')
        with files[0].open('rb') as file:
            file.seek(here)
            file.readline()
            here = file.tell()
    raw = encoding == 'raw'
    return Layout(
        files=files,
        numbers=math.prod(int(side) for side in fields['sizes'].split()),
        dtype=np.dtype(DTYPES[fields['type'].lower()]),
        offset=(None if skip < 0 else here + skip) if raw else here,
        encoding=encoding,
        skipped=0 if raw else max(skip, 0),
        problem=_problem(fields),
        note='; '.join(_notes(fields)),
    )


def _space(fields: dict[str, str]) -> str:
    return re.sub(r'[-\s]', '', fields.get('space', '').lower())


def _problem(fields: dict[str, str]) -> str:
    if _space(fields) != MIRRORED_SPACE:
        return ''
    return (
        f'its space is {fields["space"]}, which is read mirrored; expected left-posterior-superior '
        'or another one with known sides: correct the header, or convert from the original images'
    )


def _notes(fields: dict[str, str]) -> Iterator[str]:
    """What it does not say, and what ITK takes instead."""
    if not SIZES & set(fields):
        yield 'has no space directions or spacings: 1 mm is taken'
    if not (re.search(r'\d', fields.get('spaceorigin', '')) or 'axismins' in fields):
        yield f'has no space origin: {NO_ORIGIN}'
    if 'spacedirections' not in fields:
        yield f'has no space directions: {NO_DIRECTION}'
    elif 'space' not in fields:
        yield f'has no space: {NO_DIRECTION}'
    elif _space(fields) not in KNOWN_SPACES:
        yield f'has the space {fields["space"]}, whose sides are unknown: {NO_DIRECTION}'


def _check_lengths(fields: dict[str, str]) -> None:
    """Check that each axis has a size, which ITK takes for 1 if it has none, in mm."""
    vectors = fields.get('spacedirections', '(' * 3).count('(')
    spacings = fields.get('spacings', '1 1 1').split()
    if vectors < 3 or sum(math.isfinite(float(value)) for value in spacings) < 3:
        raise ValueError('not all of its axes have a spacing or a direction')
    for key in ('units', 'spaceunits'):
        for unit in re.findall('"(.*?)"', fields.get(key, '')):
            if unit.strip().lower() not in UNITS:
                raise ValueError(f'its lengths are in {unit}, mm were expected')


def _read_fields(path: Path) -> tuple[dict[str, str], list[str], int]:
    """Fields by name without blanks, names of a list of files, and the byte behind the header."""
    with path.open('rb') as file:
        if not file.readline(64).startswith(b'NRRD0'):
            raise ValueError('it does not begin with NRRD0')
        fields, names = {}, []
        while line := file.readline(1 << 16):
            text = os.fsdecode(line).strip()
            if not text:
                break
            key, colon, value = text.partition(': ')
            if fields.get('datafile', '').startswith('LIST'):
                names.append(text)
            elif colon and not text.startswith('#'):
                fields[key.replace(' ', '').lower()] = value.strip()
        return fields, names, file.tell()


def _files(path: Path, fields: dict[str, str], names: list[str]) -> tuple[Path, ...]:
    name = fields.get('datafile')
    if name is None:
        return (path,)
    if name.startswith('LIST'):
        return tuple(path.parent / name for name in names)
    first, *rest = name.split()
    if '%' in first and len(rest) >= 3:
        return numbered(path.parent, first, *rest[:3])
    return (path.parent / name,)
