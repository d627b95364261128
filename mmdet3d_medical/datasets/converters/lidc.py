"""LIDC-IDRI's XML files: what four readers marked, made one list by consensus.

Up to four readers read each CT. A nodule of 3 mm or more has an outline on every slice; a smaller
one, and a finding that is no nodule, has a point. What LUNA16 made of them (Setio et al. 2017,
section 2.1): outlines of different readers closer than the sum of their radii are one nodule, its
center and diameter are the means; nodules by at least three readers count, all else is excluded.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mmdet3d_medical.evaluation.functional.froc import UNKNOWN_DIAMETER
from mmdet3d_medical.structures import VolumeGeometry

from .cache import ScanSource

SUFFIX = '.xml'
CT = 'LidcReadMessage'  # the root of a file about a CT; radiographs have another
CLASS = 'nodule'
READERS = 3  # LUNA16's consensus


@dataclass(frozen=True)
class Outline:
    """A contour on a slice.

    Attributes:
        z: World position of the slice in mm.
        points: (N, 2) columns and rows (x, y) of its pixels, counted from 0, in their order. They
            are the first pixels outside the nodule.
        inside: False where it bounds a hole.
    """

    z: float
    points: np.ndarray
    inside: bool


@dataclass(frozen=True)
class Reading:
    """A finding of one reader: a nodule with outlines, or a point."""

    reader: int
    outlines: tuple[Outline, ...]

    @property
    def is_point(self) -> bool:
        """Whether it is a nodule below 3 mm, or none."""
        return sum(len(outline.points) for outline in self.outlines) < 3


def find_readings(paths: Iterable[str | Path]) -> dict[str, list[Reading]]:
    """Read XML files, those in folders too.

    Returns:
        Readings by series id. A CT without findings has an empty list.

    Raises:
        ValueError: If a file is no XML, or holds no numbers where positions should be, or two
            files are about the same CT.
    """
    found: dict[str, tuple[Path, list[Reading]]] = {}
    for file in sorted(_files(paths)):
        for series, readings in _read_file(file):
            if series in found:
                raise ValueError(f'{file} and {found[series][0]} are both about series {series}')
            found[series] = file, readings
    return {series: readings for series, (_, readings) in found.items()}


def _files(paths: Iterable[str | Path]) -> Iterator[Path]:
    for path in map(Path, paths):
        yield from path.rglob(f'*{SUFFIX}') if path.is_dir() else [path]


def _read_file(file: Path) -> Iterator[tuple[str, list[Reading]]]:
    """Series and readings of a file; nothing if it is about no CT."""
    try:
        root = ElementTree.parse(file).getroot()
        for element in root.iter():
            element.tag = element.tag.rpartition('}')[2]  # without the name space
        if root.tag == CT:
            yield _text(root, 'ResponseHeader/SeriesInstanceUid'), list(_readings(root))
    except (ElementTree.ParseError, ValueError, OSError) as error:
        raise ValueError(f'{file}: not an XML file of LIDC-IDRI: {error}') from None


def _readings(root: ElementTree.Element) -> Iterator[Reading]:
    for reader, session in enumerate(root.iter('readingSession')):
        for nodule in session.iter('unblindedReadNodule'):
            yield Reading(reader, tuple(_outline(roi, 'edgeMap') for roi in nodule.iter('roi')))
        for other in session.iter('nonNodule'):
            yield Reading(reader, (_outline(other, 'locus'),))


def _outline(element: ElementTree.Element, point: str) -> Outline:
    points = [[int(_text(p, 'xCoord')), int(_text(p, 'yCoord'))] for p in element.iter(point)]
    if not points:
        raise ValueError(f'{element.tag} has no {point}')
    inside = (element.findtext('inclusion') or 'TRUE').strip().upper() == 'TRUE'
    return Outline(float(_text(element, 'imageZposition')), np.array(points), inside)


def _text(element: ElementTree.Element, path: str) -> str:
    text = element.findtext(path)
    if not text:
        raise ValueError(f'{element.tag} has no {path}')
    return text.strip()


def lesions_of(
    source: ScanSource, readings: Iterable[Reading], readers: int = READERS
) -> list[dict]:
    """Instances of a CT.

    Args:
        source: The CT, with the ``geometry`` of its slices as they are stored.
        readings: Findings of all readers.
        readers: Of how many a nodule needs an outline. What has fewer, and points, are there to be
            ignored, points with the 10 mm that LUNA16's scoring gives them.

    Returns:
        Instances as in the index, nodules first.

    Raises:
        ValueError: If a finding lies on no slice.
    """
    placed = [(r.reader, *_place(r, source)) for r in readings if not r.is_point]
    lesions = [_instance(*mean, count < readers) for mean, count in _merge(placed)]
    points = [_place(r, source)[0] for r in readings if r.is_point]
    lesions += [_instance(center, UNKNOWN_DIAMETER, True) for center in points]
    return sorted(lesions, key=lambda lesion: lesion['ignore'])


def _instance(center: np.ndarray, diameter: float, ignore: bool) -> dict:
    return dict(
        center=np.asarray(center).tolist(),
        size=[float(diameter)] * 3,
        diameter=float(diameter),
        label=0,
        ignore=bool(ignore),
    )


def _place(reading: Reading, source: ScanSource) -> tuple[np.ndarray, float]:
    """World center (3,) in mm, and the diameter in mm of the ball of the same volume."""
    geometry: VolumeGeometry = source.geometry
    bottom, step = geometry.origin[2], geometry.spacing[2] * geometry.direction[8]
    weights, centers = [], []
    for outline in reading.outlines:
        number = (outline.z - bottom) / step
        if not -0.5 <= number <= geometry.shape[0] - 0.5:
            raise ValueError(
                f'series {source.scan_id}: a finding of the XML file lies at z = {outline.z:g} mm, '
                'where the series has no slice: are some of its files missing?'
            )
        area, x, y = _area(outline.points)
        weights.append(area if outline.inside else -area)
        centers.append([number, y, x])
    if not sum(weights) > 0:  # only lines and points
        weights = [1] * len(centers)
    volume = sum(weights) * math.prod(geometry.spacing)
    center = np.average(centers, axis=0, weights=weights)
    return geometry.index_to_world(center[None])[0], (6 * volume / math.pi) ** (1 / 3)


def _area(points: np.ndarray) -> tuple[float, float, float]:
    """Pixels strictly inside a contour, and its center (x, y).

    By Pick's theorem a polygon through pixels has A - B/2 + 1 of them inside it, of which A is the
    area and B the number of pixels on its edges.
    """
    ahead = np.roll(points, -1, axis=0)
    cross = points[:, 0] * ahead[:, 1] - ahead[:, 0] * points[:, 1]
    on_edge = np.gcd(*np.abs(ahead - points).T).sum()
    inside = abs(cross.sum()) / 2 - on_edge / 2 + 1
    if not cross.sum() or inside <= 0:
        return 0.0, *points.mean(0)
    center = ((points + ahead) * cross[:, None]).sum(0) / (3 * cross.sum())
    return float(inside), *center


def _merge(
    placed: list[tuple[int, np.ndarray, float]],
) -> Iterator[tuple[tuple[np.ndarray, float], int]]:
    """Mean center and diameter of each nodule, and how many readers outlined it."""
    near = [
        (i, k)
        for (i, a), (k, b) in itertools.combinations(enumerate(placed), 2)
        if a[0] != b[0] and np.linalg.norm(a[1] - b[1]) < (a[2] + b[2]) / 2
    ]
    rows, columns = np.reshape(near, (-1, 2)).astype(int).T
    graph = coo_array((np.ones(len(near)), (rows, columns)), shape=(len(placed),) * 2)
    count, label = connected_components(graph, directed=False) if placed else (0, [])
    for number in range(count):
        members = [placed[k] for k in np.flatnonzero(label == number)]
        readers, centers, diameters = zip(*members, strict=True)
        yield (np.mean(centers, axis=0), float(np.mean(diameters))), len({*readers})


def annotate_lidc(
    sources: Iterable[ScanSource], paths: Iterable[str | Path], readers: int = READERS
) -> tuple[dict[str, list[dict] | None], list[str]]:
    """Instances of CTs by XML files.

    Args:
        sources: DICOM series.
        paths: XML files and folders.
        readers: As in :func:`lesions_of`.

    Returns:
        Instances by series id, ``None`` for a CT without a file, which nobody annotated, and the
        ids in files that are no source's.

    Raises:
        ValueError: As :func:`find_readings` and :func:`lesions_of`; if no file is about a source,
            or sources are no DICOM series.
    """
    paths, sources = list(paths), {source.scan_id: source for source in sources}
    found = find_readings(paths)
    if any(getattr(source, 'geometry', None) is None for source in sources.values()):
        raise ValueError(
            f"{paths[0]}: LIDC-IDRI's outlines are in pixels of the DICOM series, so they take "
            'convert-dicom, not volumes'
        )
    known = {*found} & {*sources}
    if not known:
        raise ValueError(
            f'{paths[0]}: none of {len(found)} XML files about a CT belongs to one of the '
            f'{len(sources)} series'
        )
    lesions = {
        key: lesions_of(source, found[key], readers) if key in known else None
        for key, source in sources.items()
    }
    return lesions, sorted({*found} - known)
