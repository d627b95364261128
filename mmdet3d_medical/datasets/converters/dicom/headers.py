"""Headers of DICOM files: what decides how a series can be used, and a hash of the patient."""

import functools
import logging
import math
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from rich.progress import track

from mmdet3d_medical.parallel import Workers, map_parallel

from .patients import hash_patient

CHUNK = 256  # files that a process reads at a time
UID = re.compile(r'[0-9][0-9.]{0,63}')  # what may become the name of a file
NOT_DICOM, UNREADABLE, NO_SERIES = 'not DICOM', 'unreadable', 'no series id'


class CommonHeader(NamedTuple):
    """What the images of a series usually share; ``None`` where it is missing or no number."""

    series: str
    study: str
    modality: str
    sop_class: str
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
    lut: bool  # HU come from a table, not from slope and intercept
    photometric: str
    samples: float  # a pixel
    bits: tuple[float, ...] | None  # allocated, stored, high bit, 1 if signed
    patient: str | None  # a keyed hash, see :func:`.patients.hash_patient`


class ImageHeader(NamedTuple):
    """One file. Of a million of them, all but the first two fields are shared."""

    path: str
    uid: str  # of the image
    position: tuple[float, ...] | None  # world (x, y, z) in mm of the first voxel's center
    common: CommonHeader


TAGS = (
    'SeriesInstanceUID',
    'StudyInstanceUID',
    'SOPInstanceUID',
    'SOPClassUID',
    'Modality',
    'ImageType',
    'Rows',
    'Columns',
    'NumberOfFrames',
    'ImageOrientationPatient',
    'ImagePositionPatient',
    'PixelSpacing',
    'SliceThickness',
    'GantryDetectorTilt',
    'ConvolutionKernel',
    'RescaleSlope',
    'RescaleIntercept',
    'RescaleType',
    'ModalityLUTSequence',
    'PhotometricInterpretation',
    'SamplesPerPixel',
    'BitsAllocated',
    'BitsStored',
    'HighBit',
    'PixelRepresentation',
    'PatientID',
)
BITS = ('BitsAllocated', 'BitsStored', 'HighBit', 'PixelRepresentation')


def find_files(root: str | Path) -> list[str]:
    """All files below a folder, sorted.

    Raises:
        ValueError: If there is no such folder.
    """
    if not Path(root).is_dir():
        raise ValueError(f'{root}: no such folder')
    return sorted(
        os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names
    )


@contextmanager
def silence() -> Iterator[None]:
    """Keep pydicom's warnings off screens and logs: they quote what a header says."""
    logger = logging.getLogger('pydicom')
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.disabled = before


def read_header(path: str, key: bytes, blank: bool = False) -> ImageHeader | str:
    """Read what is needed of a file, not the pixels.

    Args:
        path: The file.
        key: For the hash of the patient, all that is kept of the id.
        blank: Whether images without a series id are taken, theirs is then empty. Defaults to
            False.

    Returns:
        The header, or why there is none: one of ``NOT_DICOM``, ``UNREADABLE``, ``NO_SERIES``.
    """
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))
        return _parse(path, dataset, key, blank)
    except InvalidDicomError:
        return NOT_DICOM
    except Exception:  # whatever a parser meets in a broken file; pydicom has no common class
        return UNREADABLE


def read_headers(
    paths: Sequence[str], key: bytes, workers: Workers = 1, blank: bool = False
) -> tuple[list[ImageHeader], dict[str, list[str]]]:
    """Read many headers.

    Args:
        paths: Files.
        key: As in :func:`read_header`.
        workers: As in :func:`..cache.convert_scans`. Defaults to 1.
        blank: As in :func:`read_header`.

    Returns:
        Headers in the order of their files, and the other files by the reason.
    """
    found: list[ImageHeader] = []
    others: dict[str, list[str]] = {}
    shared: dict[CommonHeader, CommonHeader] = {}
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    read = functools.partial(_read_chunk, key=key, blank=blank)
    results = track(
        map_parallel(read, chunks, workers),
        'Reading headers',
        total=len(chunks),
        disable=len(chunks) < 2,
    )
    for chunk, headers in zip(chunks, results, strict=True):
        for path, header in zip(chunk, headers, strict=True):
            if isinstance(header, str):
                others.setdefault(header, []).append(path)
            else:
                common = shared.setdefault(header.common, header.common)
                found.append(header._replace(path=path, common=common))
    return found, others


def _read_chunk(paths: Sequence[str], key: bytes, blank: bool) -> list[ImageHeader | str]:
    with silence():
        return [read_header(path, key, blank) for path in paths]


def _parse(path: str, dataset: Dataset, key: bytes, blank: bool) -> ImageHeader | str:
    series = _text(dataset, 'SeriesInstanceUID')
    if not UID.fullmatch(series):
        if not blank:
            return NO_SERIES
        series = ''
    rows_columns = [numbers(dataset, name, 1) for name in ('Rows', 'Columns')]
    rescale = [numbers(dataset, name, 1) for name in ('RescaleSlope', 'RescaleIntercept')]
    bits = [numbers(dataset, name, 1) for name in BITS]
    common = CommonHeader(
        series=series,
        study=_text(dataset, 'StudyInstanceUID') or series,
        modality=_text(dataset, 'Modality'),
        sop_class=_text(dataset, 'SOPClassUID'),
        image_type=tuple(_text(dataset, 'ImageType').upper().split('/')),
        shape=_join(rows_columns),
        frames=(numbers(dataset, 'NumberOfFrames', 1) or (1.0,))[0],
        orientation=numbers(dataset, 'ImageOrientationPatient', 6),
        spacing=numbers(dataset, 'PixelSpacing', 2),
        thickness=(numbers(dataset, 'SliceThickness', 1) or (None,))[0],
        tilt=(numbers(dataset, 'GantryDetectorTilt', 1) or (0.0,))[0],
        kernel=_text(dataset, 'ConvolutionKernel'),
        rescale=_join(rescale),
        rescale_type=_text(dataset, 'RescaleType').upper(),
        lut='ModalityLUTSequence' in dataset,
        photometric=_text(dataset, 'PhotometricInterpretation').upper(),
        samples=(numbers(dataset, 'SamplesPerPixel', 1) or (1.0,))[0],
        bits=_join(bits),
        patient=hash_patient(_text(dataset, 'PatientID'), key),
    )
    return ImageHeader(
        path, _text(dataset, 'SOPInstanceUID'), numbers(dataset, 'ImagePositionPatient', 3), common
    )


def _text(dataset: Dataset, name: str) -> str:
    """A value as text, several of them joined by '/', empty if missing."""
    value = dataset.get(name)
    values = value if isinstance(value, MultiValue) else [value]
    return '/'.join(str(v).strip() for v in values if v is not None)


def numbers(dataset: Dataset, name: str, count: int) -> tuple[float, ...] | None:
    """The finite numbers of a tag; ``None`` if it is missing or holds other than ``count``."""
    value = dataset.get(name)
    if isinstance(value, bytes):  # of unknown meaning, though Python may read digits in it
        return None
    try:
        numbers = tuple(map(float, value if isinstance(value, MultiValue) else [value]))
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None


def _join(parts: Sequence[tuple[float, ...] | None]) -> tuple[float, ...] | None:
    return None if None in parts else tuple(value for part in parts for value in part)
