"""Whether data are like those that a detector was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

TOLERANCE = 0.02  # of a voxel's edge; more is seen in what a detector finds


def mismatches(meta: Mapping[str, Any], index: Mapping[str, Any]) -> list[str]:
    """What of a data set differs from the data that a detector was trained on.

    What either of them does not say is not compared; class names only count where a scan is
    annotated.

    Args:
        meta: ``meta['mmdet3d_medical']`` of a checkpoint, see :class:`.PlainMetaHook`.
        index: Index of the data set.

    Returns:
        One line for each difference in spacing, crop and classes.
    """
    return [*_spacing(meta, index), *_crop(meta, index), *_classes(meta, index)]


def _spacing(meta: Mapping[str, Any], index: Mapping[str, Any]) -> list[str]:
    trained = _three_mm(meta.get('spacing'))
    if trained is None:  # not known, or as different as the scans were
        return []
    given = _three_mm(index.get('spacing'))
    rows = [given] if given is not None else [_own_spacing(scan) for scan in index['scans']]
    if not rows:
        return []
    low, high = np.min(rows, axis=0), np.max(rows, axis=0)
    if max(np.abs(low / trained - 1).max(), np.abs(high / trained - 1).max()) <= TOLERANCE:
        return []
    found = _text(low) if np.allclose(low, high) else f'{_text(low)} to {_text(high)}'
    return [
        f'voxels have {found} mm (z, y, x), but the detector was trained on {_text(trained)} mm: '
        f'convert the data with --spacing {" ".join(f"{edge:g}" for edge in trained)}'
    ]


def _own_spacing(scan: Mapping[str, Any]) -> np.ndarray:
    return np.array(scan['geometry']['spacing'][::-1], float)


def _three_mm(value: Any) -> np.ndarray | None:
    """Three positive numbers, or None: a checkpoint may say anything."""
    try:
        edges = np.array(value, float)
    except (TypeError, ValueError):
        return None
    right = edges.shape == (3,) and bool(np.isfinite(edges).all() and (edges > 0).all())
    return edges if right else None


def _text(edges: np.ndarray) -> str:
    return ' x '.join(f'{edge:.3g}' for edge in edges)


def _crop(meta: Mapping[str, Any], index: Mapping[str, Any]) -> list[str]:
    trained, found = (_setting(facts, 'crop') for facts in (meta, index))
    if trained is None or found is None or trained == found:
        return []
    return [
        f'scans were converted with --crop {found}, but the detector was trained on scans with '
        f'--crop {trained}'
    ]


def _setting(facts: Mapping[str, Any], name: str) -> str | None:
    settings = facts.get('settings')
    value = settings.get(name) if isinstance(settings, Mapping) else None
    return value if isinstance(value, str) else None


def _classes(meta: Mapping[str, Any], index: Mapping[str, Any]) -> list[str]:
    trained, found = (_names(facts.get('classes')) for facts in (meta, index))
    annotated = any(scan.get('annotated') for scan in index['scans'])
    if not trained or not found or trained == found or not annotated:
        return []
    return [
        f'classes are {", ".join(found)}, but those of the detector {", ".join(trained)}: marks '
        'are scored by the order of the classes'
    ]


def _names(value: Any) -> list[str]:
    return [str(name) for name in value] if isinstance(value, Sequence) else []
