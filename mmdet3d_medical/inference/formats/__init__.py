"""Files that findings are written to."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from mmdet3d_medical.inference.findings import Findings

# Modules with a function ``write(findings, folder)`` that gives the files that it wrote.
FORMATS = {
    'csv': 'table',
    'json': 'plain',
    'slicer': 'slicer',
    'html': 'html',
    'nifti': 'nifti',
    'grand-challenge': 'grand_challenge',
    'dicom': 'dicom',
}


def write(name: str, findings: Findings, folder: Path) -> list[Path]:
    """Write findings in a format.

    Raises:
        ValueError: If there is no such format.
    """
    if name not in FORMATS:
        raise ValueError(f'format must be one of {", ".join(FORMATS)}, found {name!r}')
    return import_module(f'.{FORMATS[name]}', __package__).write(findings, folder)
