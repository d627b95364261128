"""MetaImage: ``.mhd`` with a file of voxels, ``.mha`` with the voxels behind the header."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import numpy as np

from .layout import NO_DIRECTION, NO_ORIGIN, Layout, numbered

HEADER = 1 << 20  # bytes in which a header ends
DTYPES = {
    'CHAR': 'i1', 'UCHAR': 'u1', 'SHORT': 'i2', 'USHORT': 'u2', 'INT': 'i4', 'UINT': 'u4',
    'LONG': 'i4', 'ULONG': 'u4', 'LONG_LONG': 'i8', 'ULONG_LONG': 'u8', 'FLOAT': 'f4',
    'DOUBLE': 'f8',
}  # fmt: skip
YES = ('true', '1', 't')
SIZES = {'ElementSpacing', 'ElementSize'}
ORIGINS = {'Offset', 'Position', 'Origin'}
DIRECTIONS = {'TransformMatrix', 'Orientation', 'Rotation'}
PLACES = SIZES | ORIGINS | DIRECTIONS
TAKEN = (
    (SIZES, 'has no ElementSpacing: 1 mm is taken'),
    (ORIGINS, f'has no Offset: {NO_ORIGIN}'),
    (DIRECTIONS, f'has no TransformMatrix: {NO_DIRECTION}'),
)
SCALES = {'ElementToIntensityFunctionSlope': 1.0, 'ElementToIntensityFunctionOffset': 0.0}
UNITS = 'mm', '?'


def layout(path: Path) -> Layout:
    """Read a header.

    Raises:
        ValueError: If it is none.
        KeyError: If an entry is missing, or unknown.
    """
    fields, end = _read_fields(path)
    _check_units(fields)
    if not _is_true(fields.get('BinaryData', 'True')):
        raise ValueError('its voxels are text (BinaryData = False), which is not read')
    files, local = _files(path, fields['ElementDataFile'], end)
    compressed = _check_compression(fields, local)
    sides = [int(side) for side in fields['DimSize'].split()]
    channels = int(fields.get('ElementNumberOfChannels', 1))
    skipped = int(fields.get('HeaderSize', 0))
    return Layout(
        files=files,
        numbers=math.prod(sides) * channels,
        dtype=np.dtype(DTYPES[fields['ElementType'].removeprefix('MET_').removesuffix('_ARRAY')]),
        offset=end if local else (None if skipped < 0 else skipped),
        encoding='zlib' if compressed else 'raw',
        stored=int(fields['CompressedDataSize']) if 'CompressedDataSize' in fields else None,
        note='; '.join(text for keys, text in TAKEN if not keys & set(fields)),
    )


def _check_units(fields: dict[str, str]) -> None:
    for key in PLACES & set(fields):
        if not all(math.isfinite(float(value)) for value in fields[key].split()):
            raise ValueError(f'{key} must be finite numbers, found {fields[key]}')
    if fields.get('DistanceUnits', '?') not in UNITS:
        raise ValueError(f'its lengths are in {fields["DistanceUnits"]}, mm were expected')
    if any(float(fields.get(key, plain)) != plain for key, plain in SCALES.items()):
        raise ValueError('it scales its values (ElementToIntensityFunction), which is not read')


def _check_compression(fields: dict[str, str], local: bool) -> bool:
    """Whether voxels are compressed; an error where ITK would read others."""
    compressed, sized = _is_true(fields.get('CompressedData', '')), 'CompressedDataSize' in fields
    if sized and not compressed:
        raise ValueError('it says CompressedDataSize, but not CompressedData = True')
    if compressed and local and not sized:
        raise ValueError('it does not say CompressedDataSize, without which ITK reads other voxels')
    if compressed and int(fields.get('HeaderSize', 0)):
        raise ValueError('it says HeaderSize and CompressedData, with which ITK reads other voxels')
    return compressed


def _read_fields(path: Path) -> tuple[dict[str, str], int]:
    """Entries, and the byte behind the last of them, which names the file of voxels."""
    with path.open('rb') as file:
        content = file.read(HEADER)
    fields, position = {}, 0
    for line in content.splitlines(keepends=True):
        position += len(line)
        if not line.strip():
            continue
        key, *value = map(str.strip, re.split('[=:]', os.fsdecode(line), maxsplit=1))
        if not value:
            raise ValueError(f'expected "key = value", found {line[:40]!r}')
        fields[key] = value[0]
        if key == 'ElementDataFile':
            return fields, position
    raise ValueError('it has no ElementDataFile')


def _files(path: Path, name: str, end: int) -> tuple[tuple[Path, ...], bool]:
    """Files of voxels, and whether that is the header itself."""
    first, *rest = name.split()
    if first.upper() == 'LOCAL':
        return (path,), True
    if first == 'LIST':
        lines = os.fsdecode(path.read_bytes()[end:]).splitlines()
        return tuple(path.parent / line.strip() for line in lines if line.strip()), False
    if '%' in first and len(rest) >= 2:
        return numbered(path.parent, first, *rest[:3]), False
    return (path.parent / name,), False


def _is_true(text: str) -> bool:
    return text.strip().lower() in YES
