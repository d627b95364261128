"""Headers of DICOM files: what decides how a series can be used, nothing about patients."""
import math
import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from rich.progress import track

from ..parallel import map_parallel

CHUNK = 256  # files that a process reads at a time
UID = re.compile(r'[0-9][0-9.]{0,63}')  # what may become the name of a file
NOT_DICOM, UNREADABLE, NO_SERIES = 'not DICOM', 'unreadable', 'no series id'


class CommonHeader(NamedTuple):
    """What the images of a series usually share; ``None`` where it is missing or no number."""

    series: str
    study: str
    modality: str
    sop_class: str
    transfer_syntax: str
    image_type: tuple[str, ...]
    shape: tuple[float, ...] | None  # rows, columns
    frames: float
    orientation: tuple[float, ...] | None  # world directions along a row and down a column
    spacing: tuple[float, ...] | None  # mm between rows, between columns
    thickness: float | None  # mm
    tilt: float  # of the gantry, degrees
    kernel: str
    rescale: tuple[float, ...] | None  # slope, intercept
    rescale_type: str


class ImageHeader(NamedTuple):
    """One file. Of a million of them, all but the first two fields are shared."""

    path: str
    uid: str  # of the image
    position: tuple[float, ...] | None  # world (x, y, z) in mm of the first voxel's centre
    common: CommonHeader


TAGS = ('SeriesInstanceUID', 'StudyInstanceUID', 'SOPInstanceUID', 'SOPClassUID', 'Modality',
        'ImageType', 'Rows', 'Columns', 'NumberOfFrames', 'ImageOrientationPatient',
        'ImagePositionPatient', 'PixelSpacing', 'SliceThickness', 'GantryDetectorTilt',
        'ConvolutionKernel', 'RescaleSlope', 'RescaleIntercept', 'RescaleType')


def find_files(root: str | Path) -> list[str]:
    """All files below a folder, sorted.

    Raises:
        ValueError: If there is no such folder.
    """
    if not Path(root).is_dir():
        raise ValueError(f'{root}: no such folder')
    return sorted(os.path.join(folder, name)
                  for folder, _, names in os.walk(root) for name in names)


def read_header(path: str) -> ImageHeader | str:
    """Read what is needed of a file, not the pixels.

    Returns:
        The header, or why there is none: one of ``NOT_DICOM``, ``UNREADABLE``, ``NO_SERIES``.
    """
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))
        return _parse(path, dataset)
    except InvalidDicomError:
        return NOT_DICOM
    except Exception:  # whatever a parser meets in a broken file; pydicom has no common class
        return UNREADABLE


def read_headers(paths: Sequence[str],
                 workers: int = 1) -> tuple[list[ImageHeader], dict[str, list[str]]]:
    """Read many headers.

    Args:
        paths: Files.
        workers: Processes, at least 1. Defaults to 1.

    Returns:
        Headers in the order of their files, and the other files by the reason.
    """
    found: list[ImageHeader] = []
    others: dict[str, list[str]] = {}
    shared: dict[CommonHeader, CommonHeader] = {}
    chunks = [paths[start:start + CHUNK] for start in range(0, len(paths), CHUNK)]
    results = track(map_parallel(_read_chunk, chunks, workers), 'Reading headers',
                    total=len(chunks), disable=not chunks)
    for chunk, headers in zip(chunks, results, strict=True):
        for path, header in zip(chunk, headers, strict=True):
            if isinstance(header, str):
                others.setdefault(header, []).append(path)
            else:
                common = shared.setdefault(header.common, header.common)
                found.append(header._replace(path=path, common=common))
    return found, others


def _read_chunk(paths: Sequence[str]) -> list[ImageHeader | str]:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # they quote what the header says
        return [read_header(path) for path in paths]


def _parse(path: str, dataset: Dataset) -> ImageHeader | str:
    series = _text(dataset, 'SeriesInstanceUID')
    if not UID.fullmatch(series):
        return NO_SERIES
    rows_columns = [_numbers(dataset, name, 1) for name in ('Rows', 'Columns')]
    rescale = [_numbers(dataset, name, 1) for name in ('RescaleSlope', 'RescaleIntercept')]
    common = CommonHeader(
        series=series,
        study=_text(dataset, 'StudyInstanceUID') or series,
        modality=_text(dataset, 'Modality'),
        sop_class=_text(dataset, 'SOPClassUID'),
        transfer_syntax=str(dataset.file_meta.get('TransferSyntaxUID', '')),
        image_type=tuple(_text(dataset, 'ImageType').upper().split('/')),
        shape=_join(rows_columns),
        frames=(_numbers(dataset, 'NumberOfFrames', 1) or (1.0, ))[0],
        orientation=_numbers(dataset, 'ImageOrientationPatient', 6),
        spacing=_numbers(dataset, 'PixelSpacing', 2),
        thickness=(_numbers(dataset, 'SliceThickness', 1) or (None, ))[0],
        tilt=(_numbers(dataset, 'GantryDetectorTilt', 1) or (0.0, ))[0],
        kernel=_text(dataset, 'ConvolutionKernel'),
        rescale=_join(rescale),
        rescale_type=_text(dataset, 'RescaleType').upper())
    return ImageHeader(path, _text(dataset, 'SOPInstanceUID'),
                       _numbers(dataset, 'ImagePositionPatient', 3), common)


def _text(dataset: Dataset, name: str) -> str:
    """A value as text, several of them joined by '/', empty if missing."""
    value = dataset.get(name)
    values = value if isinstance(value, MultiValue) else [value]
    return '/'.join(str(v).strip() for v in values if v is not None)


def _numbers(dataset: Dataset, name: str, count: int) -> tuple[float, ...] | None:
    value = dataset.get(name)
    try:
        numbers = tuple(map(float, value if isinstance(value, MultiValue) else [value]))
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None


def _join(parts: Sequence[tuple[float, ...] | None]) -> tuple[float, ...] | None:
    return None if None in parts else tuple(value for part in parts for value in part)
