"""Files that findings are written to."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType

from mmdet3d_medical.inference.findings import Findings
from mmdet3d_medical.inference.scans import Scan

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


def check_formats(names: Iterable[str], scan: Scan | None = None) -> None:
    """Refuse, before any work, formats that cannot be written.

    Args:
        names: Of the formats.
        scan: What findings will be of; without one only packages are looked for.

    Raises:
        ValueError: If there is no such format, it needs a package that is not installed, or it
            needs another kind of scan.
    """
    for name in names:
        check = getattr(_module(name), 'check', None)
        if check is not None:
            check(scan)


def write(name: str, findings: Findings, folder: Path) -> list[Path]:
    """Write findings in a format.

    Raises:
        ValueError: If there is no such format.
    """
    return _module(name).write(findings, folder)


def notes(names: Iterable[str], findings: Findings) -> list[str]:
    """What of the findings files in these formats cannot show."""
    told = []
    for name in names:
        tell = getattr(_module(name), 'notes', None)
        told += tell(findings) if tell is not None else []
    return told


def _module(name: str) -> ModuleType:
    if name not in FORMATS:
        raise ValueError(f'format must be one of {", ".join(FORMATS)}, found {name!r}')
    return import_module(f'.{FORMATS[name]}', __package__)
