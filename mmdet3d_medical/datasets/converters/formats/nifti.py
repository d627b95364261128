"""NIfTI-1 and NIfTI-2: how many bytes, and whether the transforms agree."""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .layout import NO_DIRECTION, NO_ORIGIN, Layout

DTYPES = {2: 'u1', 4: 'i2', 8: 'i4', 16: 'f4', 64: 'f8', 256: 'i1', 512: 'u2', 768: 'u4',
          1024: 'i8', 1280: 'u8', 128: 'V3', 2304: 'V4'}  # fmt: skip
GZIP = b'\x1f\x8b'
SINGLE, PAIR = b'n+', b'ni'  # how a header says where the voxels are
NO_PLACE = f'has neither qform nor sform: {NO_ORIGIN}; {NO_DIRECTION}'
SAME_LENGTH = 1e-3  # of voxel sizes; headers hold float32, and programs round
SAME_DIRECTION = 1e-3
SAME_PLACE = 0.1  # voxels
NO_TURN = 1e-6  # of the square of a quaternion's real part


class Header(NamedTuple):
    """What is needed of a header.

    Attributes:
        sides: Voxels along x, y, z, ...
        dtype: Of a number, in the file's byte order.
        spacing: (3,) mm along x, y, z.
        offset: Byte of the first voxel.
        scale: Slope and intercept of values.
        qform: (4, 4) to RAS mm, None if its code is 0.
        sform: (4, 4) to RAS mm, None if its code is 0.
    """

    sides: tuple[int, ...]
    dtype: np.dtype
    spacing: np.ndarray
    offset: int
    scale: tuple[float, float]
    qform: np.ndarray | None
    sform: np.ndarray | None


def layout(path: Path) -> Layout:
    """Read a header.

    Raises:
        ValueError: If it is none.
    """
    if path.suffix.lower() == '.img':
        raise ValueError(f'it holds voxels only: name its header, {path.stem}.hdr')
    with path.open('rb') as file:
        compressed = file.read(2) == GZIP
    with (gzip.open if compressed else open)(path, 'rb') as file:
        header = parse(file.read(540), PAIR if path.suffix.lower() == '.hdr' else SINGLE)
    return Layout(
        files=(path.with_suffix('.img') if path.suffix.lower() == '.hdr' else path,),
        numbers=math.prod(header.sides),
        dtype=header.dtype,
        offset=0 if compressed else header.offset,
        encoding='gzip' if compressed else 'raw',
        skipped=header.offset if compressed else 0,
        check_values=header.dtype.kind == 'f',
        problem=_problem(path, header),
        note=NO_PLACE if header.qform is None and header.sform is None else '',
    )


def parse(data: bytes, magic: bytes = SINGLE) -> Header:
    """Take the first 540 bytes of a file apart (nifti1.h and nifti2.h of the standard).

    Args:
        data: The bytes.
        magic: ``SINGLE`` if the voxels follow in the same file, ``PAIR`` if they have their own.

    Raises:
        ValueError: If they are no such header.
    """
    for order in '<>':
        size = struct.unpack_from(f'{order}i', data)[0] if len(data) >= 348 else 0
        if size == 348 and data[344:347] == magic + b'1':
            return _parse(data, order, dict(
                dim=('8h', 40), kind=('h', 70), pixdim=('8f', 76), offset=('f', 108),
                scale=('2f', 112),
                codes=('2h', 252), quaternion=('6f', 256), rows=('12f', 280)))  # fmt: skip
        if size == 540 and data[4:7] == magic + b'2' and len(data) >= 540:
            return _parse(data, order, dict(
                dim=('8q', 16), kind=('h', 12), pixdim=('8d', 104), offset=('q', 168),
                scale=('2d', 176),
                codes=('2i', 344), quaternion=('6d', 352), rows=('12d', 400)))  # fmt: skip
    raise ValueError('expected a header of NIfTI, with the voxels behind it or, of .hdr, in .img')


def _parse(data: bytes, order: str, fields: dict[str, tuple[str, int]]) -> Header:
    values = {
        name: struct.unpack_from(order + form, data, start)
        for name, (form, start) in fields.items()
    }
    rank, *sides = values['dim']
    if not 1 <= rank <= 7 or min(sides[:rank]) < 1:
        raise ValueError(f'its dimensions are {values["dim"]}')
    pixdim, (qcode, scode) = values['pixdim'], values['codes']
    sform = np.vstack([np.reshape(values['rows'], (3, 4)), [0, 0, 0, 1]])
    return Header(
        sides=tuple(sides[:rank]),
        dtype=np.dtype(DTYPES[values['kind'][0]]).newbyteorder(order),
        spacing=np.array(pixdim[1:4]),
        offset=int(values['offset'][0]),
        scale=values['scale'],
        qform=_qform(values['quaternion'], pixdim) if qcode > 0 else None,
        sform=sform if scode > 0 else None,
    )


def _qform(values: tuple[float, ...], pixdim: tuple[float, ...]) -> np.ndarray:
    """Method 2 of nifti1.h: a rotation by the quaternion (a, b, c, d), voxel sizes, an offset."""
    b, c, d, *offset = values
    rest = 1 - b * b - c * c - d * d
    if not (rest > -SAME_DIRECTION and all(map(math.isfinite, offset))):
        raise ValueError(f'its quaternion and offset are {values}, which is no place')
    if rest < NO_TURN:  # a turn by half a circle, of which float32 makes one by a little less
        b, c, d = np.array([b, c, d]) / math.sqrt(b * b + c * c + d * d)
        rest = 0
    a = math.sqrt(rest)
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    signs = np.array([1, 1, -1 if pixdim[0] < 0 else 1])
    affine = np.eye(4)
    affine[:3, :3] = rotation * np.abs(pixdim[1:4]) * signs
    affine[:3, 3] = offset
    return affine


def _problem(path: Path, header: Header) -> str:
    """What the transforms contradict each other in; '' if in nothing."""
    advice = 'correct the header, for example with nibabel, or convert from the original images'
    if not (np.isfinite(header.spacing).all() and (header.spacing > 0).all()):
        return f'{path}: its pixdim is {_text(header.spacing)} mm, expected sizes above 0: {advice}'
    slope, intercept = header.scale
    unscaled = math.isnan(slope) and math.isnan(intercept)
    known = math.isfinite(slope) and math.isfinite(intercept) and (slope or not intercept)
    if not (unscaled or known):
        return (
            f'{path}: its values are scaled by slope {slope:g} and intercept {intercept:g}, which '
            f'programs understand in different ways: {advice}'
        )
    if header.sform is not None:
        lengths = np.linalg.norm(header.sform[:3, :3], axis=0)
        spacing = np.abs(header.spacing)
        if (np.abs(lengths - spacing) > SAME_LENGTH * np.maximum(lengths, spacing)).any():
            return (
                f'{path}: its sform has voxels of {_text(lengths)} mm, its pixdim of '
                f'{_text(spacing)} mm: {advice}'
            )
        axes = header.sform[:3, :3] / np.maximum(lengths, 1e-12)
        if np.abs(axes.T @ axes - np.eye(3)).max() > SAME_DIRECTION:
            return (
                f'{path}: the axes of its sform are not perpendicular, as of a scan with a tilted '
                f'gantry: {_text(header.sform[:3].ravel())}: resample it to a straight grid'
            )
    if header.sform is not None and header.qform is not None:
        corners = np.array(
            [
                [*np.array(corner) * (np.array([*header.sides, 1, 1][:3]) - 1), 1]
                for corner in np.ndindex(2, 2, 2)
            ]
        )
        apart = np.linalg.norm(corners @ (header.sform - header.qform).T, axis=1).max()
        if apart > SAME_PLACE * np.abs(header.spacing).min():
            return (
                f'{path}: its sform and qform place voxels up to {apart:.3g} mm apart, sform '
                f'{_text(header.sform[:3].ravel())}, qform {_text(header.qform[:3].ravel())}: '
                f'keep the right one and set the code of the other to 0'
            )
    return ''


def _text(values: np.ndarray) -> str:
    return str([float(f'{value:.5g}') for value in values])
