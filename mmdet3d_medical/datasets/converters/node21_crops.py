"""Nodules of LUNA16 as cubes of 50 mm, as node21challenge/node21_generation_baseline has them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from mmdet3d_medical.parallel import Workers
from mmdet3d_medical.structures import VolumeGeometry

from .annotations import read_annotations
from .cache import ConvertSettings, ScanSource, VolumeCache, convert_scans
from .luna16 import CLASSES
from .report import ConversionReport, finish

NAME = re.compile(r'(?P<series>.+)_dcm_(?P<number>\d+)\.mha')


def find_crops(folder: str | Path) -> list[ScanSource]:
    """Find the cubes ``<seriesuid>_dcm_<n>.mha``, each with its mask ``<seriesuid>_seg_<n>.mha``.

    Args:
        folder: ``nodule_patches`` of the repository, or a folder above it.

    Returns:
        A scan for each cube, sorted. Its patient is the series, so that splits keep the cubes
        of a scan together.

    Raises:
        ValueError: If there is none, or a mask is missing.
    """
    sources = []
    for image in sorted(Path(folder).rglob('*.mha')):
        match = NAME.fullmatch(image.name)
        if match is not None:
            mask = image.with_name(f'{match["series"]}_seg_{match["number"]}.mha')
            if not mask.is_file():
                raise ValueError(f'{image} has no mask {mask.name}: is the download complete?')
            sources.append(ScanSource(image.stem, image, lesion_mask=mask, patient=match['series']))
    if not sources:
        raise ValueError(f'{folder}: expected cubes like <seriesuid>_dcm_0.mha, found none')
    return sources


def convert_node21_crops(
    folder: str | Path,
    out: str | Path,
    settings: ConvertSettings,
    annotations: str | Path | None = None,
    excluded: str | Path | None = None,
    workers: Workers = 1,
) -> ConversionReport:
    """Convert the cubes to a cache with an index; a scan of it is a cube.

    Without ``annotations`` the lesion of a cube is its mask. With LUNA16's table all nodules with
    their center in a cube are its lesions, not only the one in its middle. What reaches into a
    cube from outside is there to be ignored, as are the findings of ``excluded``.

    Args:
        folder: See :func:`find_crops`.
        out: Folder of the cache.
        settings: How to convert.
        annotations: LUNA16's ``annotations.csv``.
        excluded: LUNA16's ``annotations_excluded.csv``.
        workers: As in :func:`.cache.convert_scans`. Defaults to 1.

    Raises:
        ValueError: If there are no cubes, or ``excluded`` is given without ``annotations``.
    """
    if excluded and not annotations:
        raise ValueError('--excluded needs --annotations: masks do not tell what is left out')
    sources, lesions = find_crops(folder), None
    if annotations:
        tables = [read_annotations(annotations, CLASSES)]
        tables += [read_annotations(excluded, CLASSES, ignore=True)] if excluded else []
        lesions = {source.scan_id: lesions_in(source, tables) for source in sources}
        sources = [dataclasses.replace(source, lesion_mask=None) for source in sources]
    records, failures = convert_scans(sources, cache := VolumeCache(out, settings), workers)
    return finish(cache, sources, records, failures, lesions, CLASSES, [])


def lesions_in(source: ScanSource, tables: Sequence[Mapping[str, list[dict]]]) -> list[dict]:
    """Instances of a cube's series that lie in the cube.

    Args:
        source: The cube.
        tables: Instances by series id.

    Returns:
        Those with their center in the cube as they are, those that only reach into it as
        instances to ignore.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(source.image))
    reader.ReadImageInformation()
    geometry = VolumeGeometry(
        reader.GetOrigin(), reader.GetSpacing(), reader.GetDirection(), reader.GetSize()[::-1]
    )
    return instances_inside(
        [instance for table in tables for instance in table.get(source.patient, [])], geometry
    )


def instances_inside(instances: Iterable[dict], geometry: VolumeGeometry) -> list[dict]:
    """Instances of a part of a scan.

    Args:
        instances: Of the whole scan, as in an index.
        geometry: Of the part.

    Returns:
        Those with their center in it as they are, those that only reach into it as instances to
        ignore.
    """
    found = []
    for instance in instances:
        box = geometry.world_to_box(np.array([instance['center']]), np.array([instance['size']]))[0]
        center = (box[:3] + box[3:]) / 2
        if ((center >= 0) & (center < geometry.shape)).all():
            found.append(instance)
        elif ((box[3:] > 0) & (box[:3] < geometry.shape)).all():
            found.append({**instance, 'ignore': True})
    return found
