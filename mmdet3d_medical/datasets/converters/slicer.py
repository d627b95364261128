"""Lesions from boxes that were drawn, or corrected, in 3D Slicer: ROIs in files of markups."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .cache import ScanSource

SUFFIX = '.mrk.json'
FINDINGS = f'findings{SUFFIX}'  # as predict calls it, in a folder that is called like the scan
DEFAULT_CLASS = 'lesion'
PERPENDICULAR = 1e-3
PARALLEL = 1e-3  # of the products of axes, about 0.06 degrees
UNNAMED = re.compile(r'(MarkupsROI|ROI|R)?([ _-]*\d+)?')  # what Slicer itself calls a ROI
NUMBER = re.compile(r'\s+\d+$')
TURNED = 'scans have boxes whose axes are not theirs: they became the boxes that hold them'


class SlicerLesions(NamedTuple):
    """What files of markups hold.

    Attributes:
        lesions: Instances as in the index by scan id, ``None`` for a scan without a file.
        classes: Class names.
        missing: Ids of files that are no scan's, sorted.
        notes: What the user should know, by title, then scan id.
    """

    lesions: dict[str, list[dict] | None]
    classes: list[str]
    missing: list[str]
    notes: dict[str, dict[str, str]]


def has_markups(path: str | Path) -> bool:
    """Whether it is a file of markups, or a folder with one."""
    path = Path(path)
    return any(True for _ in path.rglob(f'*{SUFFIX}')) if path.is_dir() else _is_markups(path)


def _is_markups(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIX)


def annotate_slicer(sources: Iterable[ScanSource], paths: Sequence[str | Path]) -> SlicerLesions:
    """Instances of scans by files of markups.

    A file ``<scan_id>.mrk.json`` is about that scan; so are all files in a folder ``<scan_id>``,
    as Slicer saves one for each ROI, and ``predict`` writes ``findings.mrk.json``. Their boxes are
    joined. A scan without a file is not annotated; one with a file without boxes has no lesions.

    The class is the name of a ROI without a number behind a blank: that of ``nodule 3`` is
    ``nodule``. A ROI that still has Slicer's own name (``R``, ``R_1``, ``ROI``), or none, is of the
    only class that other ROIs name, or of the class ``lesion`` if none does.

    Args:
        sources: Scans. A box whose axes are not those of its scan becomes the box along the scan's
            axes that holds it.
        paths: Files, and folders that are searched with all below them.

    Raises:
        ValueError: Naming the file, if it holds no ROIs, a ROI needs a class, two files are about
            a scan in different ways, or no file is about a scan.
    """
    scans = {source.scan_id: source for source in sources}
    files = _files_by_scan(paths, scans)
    known = {key: names for key, names in files.items() if key in scans}
    if not known:
        raise ValueError(
            f'{paths[0]}: none of {len(files)} ids of markups belongs to a scan: the first is '
            f'{min(files)!r}, but scans have ids like {min(scans)!r}; call the file '
            f'{min(scans)}{SUFFIX}, or put it in a folder {min(scans)}'
        )
    rois = {key: [(p, roi) for p in names for roi in read_rois(p)] for key, names in known.items()}
    classes = sorted({_class_name(roi) for found in rois.values() for _, roi in found} - {''})
    classes = classes or [DEFAULT_CLASS]
    lesions: dict[str, list[dict] | None] = dict.fromkeys(scans)
    turned = {}
    for key, found in rois.items():
        axes = _axes_of(scans[key]) if found else None
        if axes is None:
            lesions[key] = []
            continue
        lesions[key] = [_instance(roi, axes, classes, path) for path, roi in found]
        names = [roi['name'] for _, roi in found if not _is_parallel(roi['axes'], axes)]
        if names:
            turned[key] = ', '.join(names)
    notes = {TURNED: turned} if turned else {}
    return SlicerLesions(lesions, classes, sorted({*files} - {*scans}), notes)


def _axes_of(source: ScanSource) -> np.ndarray | None:
    try:
        return source.axes()
    except (ValueError, RuntimeError, OSError):
        return None  # the conversion of this scan fails, and tells why


def _files_by_scan(
    paths: Iterable[str | Path], known: Mapping[str, ScanSource]
) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in sorted({Path(os.path.abspath(file)) for file in _files(paths)}):
        own = file.name[: -len(SUFFIX)]
        folder = file.parent.name
        in_folder = file.name.lower() == FINDINGS or (own not in known and folder in known)
        key = folder if in_folder else own
        others = found.setdefault(key, [])
        if others and not (in_folder and others[0].parent == file.parent):
            raise ValueError(f'{file} and {others[0]} are both about scan {key}: keep one')
        others.append(file)
    return found


def _files(paths: Iterable[str | Path]) -> Iterator[Path]:
    for path in map(Path, paths):
        yield from path.rglob(f'*{SUFFIX}') if path.is_dir() else [path]


def _class_name(roi: Mapping) -> str:
    """Class by the name of a ROI; '' if that is Slicer's own."""
    name = roi['name'].strip()
    return '' if UNNAMED.fullmatch(name) else NUMBER.sub('', name)


def _is_parallel(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether axes are the same, in any order and direction."""
    products = np.abs(one.T @ other)
    return bool(np.abs(products - np.rint(products)).max() <= PARALLEL)


def _instance(roi: Mapping, axes: np.ndarray, classes: Sequence[str], path: Path) -> dict:
    name = _class_name(roi) or (classes[0] if len(classes) == 1 else '')
    if name not in classes:
        raise ValueError(
            f'{path}: the ROI {roi["name"]!r} needs a name that begins with its class, as '
            f'"{classes[0]} 1": there are the classes {classes}'
        )
    products = np.abs(axes.T @ roi['axes'])
    if _is_parallel(roi['axes'], axes):
        products = np.rint(products)
    size = (products @ roi['size'])[::-1].tolist()  # along z, y, x
    return dict(
        center=roi['center'],
        size=size,
        diameter=math.prod(size) ** (1 / 3),
        label=classes.index(name),
        ignore=False,
    )


def read_rois(path: str | Path) -> list[dict]:
    """Boxes of a markups file: ``center`` (x, y, z), ``size`` and ``axes`` (3, 3), ``name``.

    Args:
        path: A ``.mrk.json`` file, in LPS or RAS. Other markups than ROIs are refused.

    Raises:
        ValueError: Naming the file and what is wrong.
    """
    try:
        markups = json.loads(Path(path).read_text(encoding='utf-8'))['markups']
        return [_read_roi(markup) for markup in markups]
    except (KeyError, TypeError, ValueError) as error:
        reason = f'no key {error}' if isinstance(error, KeyError) else error
        raise ValueError(
            f"{path}: expected ROIs of 3D Slicer's markups (.mrk.json): {reason}"
        ) from None


def _read_roi(markup: dict) -> dict:
    if markup['type'] != 'ROI':
        raise ValueError(
            f'found a markup of the type {markup["type"]}, which has no extent: draw a ROI'
        )
    system = markup.get('coordinateSystem', 'LPS')
    if system not in ('LPS', 'RAS'):
        raise ValueError(f'coordinateSystem must be LPS or RAS, found {system!r}')
    units = markup.get('coordinateUnits', 'mm')
    if 'mm' not in (units, *units):  # text, or a code such as ['mm', 'UCUM', 'millimeter']
        raise ValueError(f'coordinateUnits must be mm, found {units!r}')
    to_lps = np.array([1.0, 1, 1]) if system == 'LPS' else np.array([-1.0, -1, 1])
    size = np.array(markup['size'], float).reshape(3)
    if not (np.isfinite(size).all() and (size > 0).all()):
        raise ValueError(f'size must be three positive mm, found {markup["size"]}')
    axes = np.reshape(np.array(markup['orientation'], float), (3, 3))
    if np.abs(axes.T @ axes - np.eye(3)).max() > PERPENDICULAR:
        raise ValueError('orientation must hold three perpendicular axes of length 1')
    return dict(
        center=(np.array(markup['center'], float).reshape(3) * to_lps).tolist(),
        size=size.tolist(),
        axes=axes * to_lps[:, None],
        name=str(markup.get('name', '')),
    )
