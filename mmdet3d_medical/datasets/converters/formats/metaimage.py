"""MetaImage: ``.mhd`` with a file of voxels, ``.mha`` with the voxels behind the header."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from .layout import Layout

HEADER = 1 << 20  # bytes in which a header ends
DTYPES = {
    'CHAR': 'i1', 'UCHAR': 'u1', 'SHORT': 'i2', 'USHORT': 'u2', 'INT': 'i4', 'UINT': 'u4',
    'LONG': 'i4', 'ULONG': 'u4', 'LONG_LONG': 'i8', 'ULONG_LONG': 'u8', 'FLOAT': 'f4',
    'DOUBLE': 'f8',
}  # fmt: skip
YES = ('true', '1', 't')
PLACES = {'Offset', 'Position', 'Origin', 'ElementSpacing', 'ElementSize', 'TransformMatrix',
          'Orientation', 'Rotation'}  # fmt: skip
SCALES = {'ElementToIntensityFunctionSlope': 1.0, 'ElementToIntensityFunctionOffset': 0.0}


def layout(path: Path) -> Layout:
    """Read a header.

    Raises:
        ValueError: If it is none.
        KeyError: If an entry is missing, or unknown.
    """
    fields, end = _read_fields(path)
    sides = [int(side) for side in fields['DimSize'].split()]
    channels = int(fields.get('ElementNumberOfChannels', 1))
    skipped = int(fields.get('HeaderSize', 0))
    for key in PLACES & set(fields):
        if not all(math.isfinite(float(value)) for value in fields[key].split()):
            raise ValueError(f'{key} must be finite numbers, found {fields[key]}')
    if any(float(fields.get(key, plain)) != plain for key, plain in SCALES.items()):
        raise ValueError('it scales its values (ElementToIntensityFunction), which is not read')
    compressed = _is_true(fields.get('CompressedData', 'False'))
    text = not _is_true(fields.get('BinaryData', 'True'))
    files, local = _files(path, fields['ElementDataFile'], end, sides[-1])
    return Layout(
        files=files,
        numbers=math.prod(sides) * channels,
        dtype=np.dtype(DTYPES[fields['ElementType'].removeprefix('MET_').removesuffix('_ARRAY')]),
        offset=end if local else (None if skipped < 0 else skipped),
        encoding='zlib' if compressed else 'text' if text else 'raw',
        stored=int(fields['CompressedDataSize']) if 'CompressedDataSize' in fields else None,
    )


def _read_fields(path: Path) -> tuple[dict[str, str], int]:
    """Entries, and the byte behind the last of them, which names the file of voxels."""
    with path.open('rb') as file:
        content = file.read(HEADER)
    fields, position = {}, 0
    for line in content.splitlines(keepends=True):
        position += len(line)
        key, equals, value = line.decode('latin-1').partition('=')
        if not equals:
            raise ValueError(f'expected "key = value", found {line[:40]!r}')
        fields[key.strip()] = value.strip()
        if key.strip() == 'ElementDataFile':
            return fields, position
    raise ValueError('it has no ElementDataFile')


def _files(path: Path, name: str, end: int, slices: int) -> tuple[tuple[Path, ...], bool]:
    """Files of voxels, and whether that is the header itself."""
    first, *rest = name.split()
    if first.upper() == 'LOCAL':
        return (path,), True
    if first == 'LIST':
        lines = path.read_bytes()[end:].decode('utf-8').splitlines()
        return tuple(path.parent / line.strip() for line in lines if line.strip()), False
    if '%' in first and len(rest) >= 2:
        start, stop, *step = map(int, rest[:3])
        numbers = range(start, stop + 1, *step)
        return tuple(path.parent / (first % number) for number in numbers), False
    return (path.parent / name,), False


def _is_true(text: str) -> bool:
    return text.strip().lower() in YES
