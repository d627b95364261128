"""``findings.mrk.json``: boxes as ROIs of 3D Slicer's markups.

Schema: ``markups-schema-v1.0.3.json`` of Slicer. ``size`` is in mm along the box's own axes, which
are the columns of ``orientation`` (row-major) in the file's coordinate system, LPS here. Slicer
takes a missing ``orientation`` for a matrix of zeros. The reader is that of the converters,
:mod:`mmdet3d_medical.datasets.converters.slicer`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmdet3d_medical.inference.findings import Findings, Lesion
from mmdet3d_medical.utils.files import write_json

NAME = 'findings.mrk.json'
SCHEMA = (  # letter by letter as Slicer writes it: releases before 5.1 take no other
    'https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/'
    'Schema/markups-schema-v1.0.3.json#'
)


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
