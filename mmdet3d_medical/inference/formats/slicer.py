"""``findings.mrk.json``: boxes as ROIs of 3D Slicer's markups, and back.

Schema: ``markups-schema-v1.0.3.json`` of Slicer. ``size`` is in mm along the box's own axes, which
are the columns of ``orientation`` (row-major) in the file's coordinate system, LPS here. Slicer
takes a missing ``orientation`` for a matrix of zeros.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mmdet3d_medical.inference.findings import Findings, Lesion
from mmdet3d_medical.utils.files import write_json

NAME = 'findings.mrk.json'
SCHEMA = (
    'https://raw.githubusercontent.com/Slicer/Slicer/main/Modules/Loadable/Markups/Resources/'
    'Schema/markups-schema-v1.0.3.json#'
)
PERPENDICULAR = 1e-3


def write(findings: Findings, folder: Path) -> list[Path]:
    """Write the file: one ROI for each lesion."""
    axes = findings.geometry.lps_axes
    rois = [_roi(number, lesion, axes) for number, lesion in enumerate(findings.lesions, start=1)]
    write_json(folder / NAME, {'@schema': SCHEMA, 'markups': rois})
    return [folder / NAME]


def _roi(number: int, lesion: Lesion, axes: np.ndarray) -> dict:
    center = list(lesion.center_mm)
    label = f'{lesion.class_name} {number}'
    return {
        'type': 'ROI',
        'coordinateSystem': 'LPS',
        'coordinateUnits': 'mm',
        'roiType': 'Box',
        'center': center,
        'orientation': axes.ravel().tolist(),
        'size': list(lesion.size_mm),
        'insideOut': False,
        'locked': True,
        'labelFormat': '%N-%d',
        'lastUsedControlPointNumber': 1,
        'name': label,
        'description': f'score {lesion.score:.3f}',
        'controlPoints': [
            {
                'id': '1',
                'label': f'{label}, score {lesion.score:.2f}',
                'position': center,
                'orientation': axes.ravel().tolist(),
                'selected': True,
                'locked': True,
                'visibility': True,
                'positionStatus': 'defined',
            }
        ],
    }


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
