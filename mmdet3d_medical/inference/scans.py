"""Scans to predict on: files, DICOM series, archives, folders of these, and images in memory."""

from __future__ import annotations

import os
import time
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from mmdet3d_medical.datasets.converters.cache import ScanSource
from mmdet3d_medical.datasets.converters.dicom.headers import find_files, read_headers
from mmdet3d_medical.datasets.converters.dicom.rules import (
    LeftOutError,
    Series,
    SeriesRules,
    check_series,
    choose,
    group_series,
)
from mmdet3d_medical.datasets.converters.dicom.source import DicomSource
from mmdet3d_medical.datasets.converters.image_io import as_hu, orient
from mmdet3d_medical.datasets.converters.links import note_of_links
from mmdet3d_medical.datasets.converters.volumes import (
    SUFFIXES,
    find_images,
    is_mask,
    stem,
)
from mmdet3d_medical.datasets.scan_ids import check_scan_id
from mmdet3d_medical.structures import VolumeGeometry

RULES = SeriesRules(max_thickness=5.0, min_slices=10)  # wider than for training: it must be read
THICK_MM = 2.5  # LUNA16's limit, what detectors are trained with


@dataclass(frozen=True)
class Scan:
    """A scan, read when it is looked at.

    Attributes:
        scan_id: Its name.
        source: Its files.
        notes: What was seen before it was read, such as other series of its study.
    """

    scan_id: str
    source: ScanSource
    notes: tuple[str, ...] = ()

    @cached_property
    def image(self) -> sitk.Image:
        """HU, int16, axes nearest to LPS.

        Raises:
            ValueError: Naming the file and what is wrong.
        """
        return self.source.read()

    @cached_property
    def geometry(self) -> VolumeGeometry:
        """Where its voxels lie, in the order in which they are stored."""
        if isinstance(self.source, (DicomSource, ImageSource)):
            return self.source.geometry
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(self.source.image))
        reader.ReadImageInformation()
        return VolumeGeometry(
            reader.GetOrigin()[:3],
            reader.GetSpacing()[:3],
            np.reshape(reader.GetDirection(), (reader.GetDimension(),) * 2)[:3, :3].ravel(),
            reader.GetSize()[2::-1],
        )

    def file_notes(self) -> list[str]:
        """What its files, which can be read, do not say, and what was taken instead."""
        notes = self.source.notes().items()
        return [f'{title.removeprefix("scans have ")}: {detail}' for title, detail in notes]

    def forget(self) -> None:
        """Free the voxels; they are read again when they are asked for."""
        self.__dict__.pop('image', None)


@dataclass(frozen=True)
class ImageSource(ScanSource):
    """An image in memory."""

    stored: sitk.Image | None = None
    geometry: VolumeGeometry | None = None

    def read(self) -> sitk.Image:
        """HU, int16, axes nearest to LPS.

        Raises:
            ValueError: For values that are not finite, or too large for HU.
        """
        return as_hu(orient(self.stored), self.scan_id)

    def stamps(self) -> dict:
        """Nothing: it has no files."""
        return {}

    def notes(self) -> dict[str, str]:
        """Nothing, too."""
        return {}


@dataclass
class Found:
    """What lies at the paths that were given.

    Attributes:
        by_id: Scans to predict on, in the order given.
        refused: Why something is no scan that can be used, by its name.
        given: Path that was given and led to it, of each scan and what is refused, by its name.
        paths: All that were given; while they are looked at, up to the present one.
        places: Where each scan lies, for messages: a file, a folder, an archive.
        unpacked: Archives that were looked at.
    """

    by_id: dict[str, Scan] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    given: dict[str, Path] = field(default_factory=dict)
    paths: list[Path] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    unpacked: set[Path] = field(default_factory=set)

    @property
    def scans(self) -> list[Scan]:
        """To predict on, in the order given."""
        return list(self.by_id.values())

    def refuse(self, name: str, why: str) -> None:
        """Note why something at the present path cannot be used."""
        self.refused[name] = why
        self.given[name] = self.paths[-1]


def find_scans(paths: Iterable[str | Path], scratch: str | Path) -> Found:
    """Scans at paths.

    Args:
        paths: Volumes in a format of SimpleITK, folders and zip archives of DICOM files, and
            folders of all these. Files that end like masks are left out of folders.
        scratch: Folder that archives are unpacked to.

    Returns:
        The scans. Of a study with several series the best one, with a note that says which
        others there were.

    Raises:
        ValueError: If a path does not exist, or nothing is found at all.
    """
    found = Found()
    for path in map(Path, paths):
        if not path.exists():
            raise ValueError(f'{path}: no such file or folder')
        found.paths.append(path)
        _add(path, found, Path(scratch))
    if not found.by_id and not found.refused:
        links = note_of_links(found.paths)
        raise ValueError(
            f'no scans in {", ".join(map(str, found.paths))}: looked for {", ".join(SUFFIXES)}, '
            f'DICOM files and zip archives of them{"; " * bool(links)}{links}'
        )
    return found


def _add(path: Path, found: Found, scratch: Path) -> None:
    if path.is_dir():
        images = [p for p in find_images([path]) if not is_mask(p)]
        for image in images:
            _add_image(image, found)
        for archive in sorted(path.rglob('*.zip')):
            _add_archive(archive, found, scratch)
        _add_dicom(path, path, found, silent=bool(images))
    elif zipfile.is_zipfile(path) and path.suffix.lower() == '.zip':
        _add_archive(path, found, scratch)
    elif path.suffix.lower() in ('.dcm', '.ima'):
        why = f'{path}: one DICOM file is one slice: give the folder with all of its series'
        found.refuse(str(path), why)
    else:
        _add_image(path, found)


def _add_image(path: Path, found: Found, name: str | None = None) -> None:
    name = name or str(path)
    try:
        scan = Scan(check_scan_id(stem(path)), ScanSource(stem(path), path))
        other = _add_scan(scan, found, name)
        if other is not None:
            raise ValueError(f'would be the scan {scan.scan_id}, as {other} is: rename one')
    except ValueError as error:
        found.refuse(name, f'{name}: {error}')


def _add_scan(scan: Scan, found: Found, place: str) -> str | None:
    """Take a scan. Where one of its name is already, of other files, say where that lies."""
    same = found.by_id.setdefault(scan.scan_id, scan)
    if same is scan:
        found.given[scan.scan_id] = found.paths[-1]
        found.places[scan.scan_id] = place
    elif same.source.image.resolve() != scan.source.image.resolve():
        return found.places[scan.scan_id]
    return None


def _add_archive(path: Path, found: Found, scratch: Path) -> None:
    if path.resolve() in found.unpacked:  # given twice, or with its folder
        return
    found.unpacked.add(path.resolve())
    target = scratch / f'{len(list(scratch.iterdir()))}' / path.stem
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                _unpack(archive, member, target)
    except (
        *(zipfile.BadZipFile, zlib.error, RuntimeError, OSError, EOFError, NotImplementedError),
        *(ValueError, OverflowError),  # a time that is none
    ) as error:
        found.refuse(str(path), f'{path}: cannot be unpacked: {error}')
        return
    before = len(found.by_id), len(found.refused)
    for image in [p for p in find_images([target]) if not is_mask(p)]:
        _add_image(image, found, f'{path}: {image.relative_to(target)}')
    _add_dicom(target, path, found, silent=False)
    if before == (len(found.by_id), len(found.refused)):
        found.refuse(str(path), f'{path}: has no scan in it')


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Unpack a file with the time that it had, by which a later run knows it."""
    file = archive.extract(member, target)
    seconds = time.mktime((*member.date_time, 0, 0, -1))
    os.utime(file, (seconds, seconds))


def _add_dicom(folder: Path, name: Path, found: Found, silent: bool) -> None:
    """Series below a folder: the best one of each study.

    Args:
        folder: Where the files are.
        name: What messages call it.
        found: Takes the scans.
        silent: Whether a folder without any DICOM file is nothing to tell.
    """
    headers, others = read_headers(find_files(folder), os.urandom(16))
    usable: list[Series] = []
    reasons: dict[str, list[str]] = {}  # by study
    for series, images in group_series(headers).items():
        try:
            usable.append(check_series(images, RULES))
        except LeftOutError as error:
            reason = ': '.join(filter(None, [error.reason, error.detail]))
            reasons.setdefault(images[0].common.study, []).append(f'series {series} {reason}')
    for study in choose(usable, RULES):
        scan = Scan(study[0].series, DicomSource.from_series(study[0]), _notes(study))
        other = _add_scan(scan, found, str(name))
        if other is not None:
            why = (
                f'{name}: series {scan.scan_id} is already taken from {other}: remove one of the '
                'two; if each has a part of its slices, put all into one folder'
            )
            found.refuse(f'{name}: series {scan.scan_id}', why)
    for study in reasons.keys() - {series.study for series in usable}:
        listed = '; '.join(reasons[study])
        found.refuse(f'{name}: study {study}', f'{name}: no series can be used: {listed}')
    if not (headers or silent) and any(key != 'not DICOM' for key in others):
        found.refuse(str(name), f'{name}: no DICOM file can be read')


def _notes(study: Sequence[Series]) -> tuple[str, ...]:
    best, *rest = study
    notes = [*[best.note] * bool(best.note), *thickness_notes(best.thickness)]
    if rest:
        others = '; '.join(f'{s.series} ({s.thickness:g} mm, {len(s.paths)} slices)' for s in rest)
        notes.append(
            f'series {best.series} was taken of {len(study)}, for its thin slices '
            f'({best.thickness:g} mm, {len(best.paths)} slices); left out: {others}'
        )
    return tuple(notes)


def thickness_notes(thickness: float) -> list[str]:
    """What is to be known of slices, or voxels, of so many mm; nothing of thin ones."""
    if thickness <= THICK_MM:
        return []
    return [
        f'slices of {thickness:.4g} mm are thicker than the {THICK_MM:g} mm that '
        'detectors are trained with: small lesions are missed'
    ]


def scan_in_memory(data: Any, scan_id: str) -> Scan:
    """A scan from a ``SimpleITK.Image`` or (array (D, H, W) in HU, ``VolumeGeometry``).

    Raises:
        ValueError: If it is neither, or shapes differ.
    """
    if isinstance(data, sitk.Image):
        image = data
    elif isinstance(data, tuple) and len(data) == 2 and isinstance(data[1], VolumeGeometry):
        image = _image_of(np.asarray(data[0]), data[1])
    else:
        raise ValueError(
            'expected a path, a SimpleITK.Image, or (array, VolumeGeometry), found '
            f'{type(data).__name__}'
        )
    geometry = VolumeGeometry.from_sitk(image)
    source = ImageSource(scan_id, Path(scan_id), stored=image, geometry=geometry)
    return Scan(scan_id, source)


def _image_of(array: np.ndarray, geometry: VolumeGeometry) -> sitk.Image:
    if array.shape != geometry.shape:
        raise ValueError(f'the array is {array.shape}, its geometry {geometry.shape}')
    image = sitk.GetImageFromArray(array)
    image.SetOrigin(geometry.origin)
    image.SetSpacing(geometry.spacing)
    image.SetDirection(geometry.direction)
    return image
