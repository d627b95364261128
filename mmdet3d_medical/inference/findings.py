"""What a detector found in a scan."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmdet3d_medical.structures import VolumeGeometry

if TYPE_CHECKING:
    from .scans import Scan

DEFAULT_FORMATS = ('csv', 'json', 'slicer', 'html')


@dataclass(frozen=True)
class Lesion:
    """A finding.

    Attributes:
        center_mm: World position (x, y, z) in mm, LPS.
        size_mm: Extents in mm along the scan's axes nearest to the world's x, y, z
            (:attr:`.VolumeGeometry.lps_axes`).
        diameter_mm: Mean extent in mm.
        score: In [0, 1], higher is surer.
        class_name: What it is.
    """

    center_mm: tuple[float, float, float]
    size_mm: tuple[float, float, float]
    diameter_mm: float
    score: float
    class_name: str


@dataclass(frozen=True)
class Findings:
    """All findings of a scan of a score and above, the surest first.

    Attributes:
        scan_id: Name of the scan: of a file its name without suffix, of a DICOM series its id.
        geometry: Of the scan as it came.
        lesions: What was found.
        model: Name of the model.
        threshold: Lowest score of a lesion.
        notes: What the user should know, such as that no lungs were found.
        classes: Names of all that the model finds.
        scan: The scan itself, for the formats that show or refer to its voxels.
    """

    scan_id: str
    geometry: VolumeGeometry
    lesions: tuple[Lesion, ...]
    model: str = ''
    threshold: float = 0.0
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    scan: Scan | None = field(default=None, repr=False, compare=False)

    def save(self, folder: str | Path, formats: Iterable[str] = DEFAULT_FORMATS) -> list[Path]:
        """Write the findings.

        Args:
            folder: Made if missing.
            formats: Names of :data:`.formats.FORMATS`; :func:`.formats.notes` says what they
                cannot show of these findings.

        Returns:
            The files.

        Raises:
            ValueError: For an unknown format, or one that needs what this scan does not have.
        """
        from .formats import write

        return [path for name in formats for path in write(name, self, Path(folder))]

    def centers(self) -> np.ndarray:
        """(N, 3) world positions (x, y, z) in mm."""
        return np.reshape([lesion.center_mm for lesion in self.lesions], (-1, 3)).astype(float)

    def boxes(self, geometry: VolumeGeometry | None = None) -> np.ndarray:
        """(N, 6) boxes in voxel edges of the scan, or of another grid with the same axes."""
        geometry = geometry or self.geometry
        sizes = np.reshape([lesion.size_mm for lesion in self.lesions], (-1, 3)).astype(float)
        return geometry.world_to_box(self.centers(), geometry.extents_from_world(sizes))

    def to_dict(self) -> dict:
        """Plain data, for JSON."""
        return {
            'scan_id': self.scan_id,
            'model': self.model,
            'threshold': self.threshold,
            'notes': list(self.notes),
            'classes': list(self.classes),
            'geometry': self.geometry.to_dict(),
            'lesions': [dataclasses.asdict(lesion) for lesion in self.lesions],
        }

    @classmethod
    def from_dict(cls, content: dict) -> Findings:
        """Inverse of :meth:`to_dict`."""
        lesions = tuple(
            Lesion(**{k: tuple(v) if isinstance(v, list) else v for k, v in lesion.items()})
            for lesion in content['lesions']
        )
        return cls(
            content['scan_id'],
            VolumeGeometry.from_dict(content['geometry']),
            lesions,
            content['model'],
            content['threshold'],
            tuple(content['notes']),
            tuple(content['classes']),
        )


def read_findings_json(path: str | Path) -> Findings:
    """Findings as :mod:`.formats` writes them to ``findings.json``.

    Raises:
        ValueError: If it is no such file.
    """
    try:
        return Findings.from_dict(json.loads(Path(path).read_text(encoding='utf-8')))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'{path}: no findings of this package: {error!r}') from None


def make_findings(
    scan: Scan,
    grid: VolumeGeometry,
    boxes: np.ndarray,
    scores: Sequence[float],
    labels: Sequence[int],
    classes: Sequence[str],
    model: str,
    threshold: float,
    notes: Sequence[str] = (),
) -> Findings:
    """Findings of a scan from boxes on the grid that the detector saw.

    Args:
        scan: The scan as it came.
        grid: Geometry of the volume that the boxes are of.
        boxes: (N, 6) voxel edges.
        scores: N, descending.
        labels: N numbers of classes.
        classes: Names of all classes.
        model: Name of the model.
        threshold: Boxes with a lower score are left out.
        notes: For the user.
    """
    centers, sizes = grid.box_to_world(boxes)
    extents = grid.extents_to_world(sizes)
    lesions = tuple(
        Lesion(
            tuple(center.tolist()),
            tuple(size.tolist()),
            float(size.mean()),
            float(score),
            classes[label],
        )
        for center, size, score, label in zip(centers, extents, scores, labels, strict=True)
        if score >= threshold
    )
    about = model, threshold, tuple(notes), tuple(classes)
    return Findings(scan.scan_id, scan.geometry, lesions, *about, scan)
