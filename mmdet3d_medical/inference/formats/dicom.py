"""``seg.dcm`` and ``sr.dcm``: findings for a PACS, beside the DICOM series that they are of.

The segmentation has a segment for each finding, the report (TID 1500) a group of measurements that
refers to it. Without findings there is only a report that says so: a segmentation needs segments.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from mmdet3d_medical.datasets.converters.dicom.headers import silence
from mmdet3d_medical.datasets.converters.dicom.source import DicomSource
from mmdet3d_medical.inference.findings import Findings
from mmdet3d_medical.inference.scans import Scan
from mmdet3d_medical.utils.files import staged

SEG, SR = 'seg.dcm', 'sr.dcm'
EXTRA = "pip install 'mmdet3d_medical[dicom]'"


def check(scan: Scan | None) -> None:
    """Refuse what ``write`` cannot do, before anything is searched.

    Raises:
        ValueError: If highdicom is not installed, or a scan is no DICOM series.
    """
    if find_spec('highdicom') is None:
        raise ValueError(f'the format dicom needs highdicom: {EXTRA}')
    if scan is not None and not isinstance(scan.source, DicomSource):
        raise ValueError(f'{scan.scan_id}: the format dicom needs a scan from a DICOM series')


def write(findings: Findings, folder: Path) -> list[Path]:
    """Write the files; a segmentation of earlier findings goes if there is none now.

    Raises:
        ValueError: If the scan is no DICOM series, or one whose headers cannot be taken over. It
            quotes none of them: they name the patient.
    """
    if findings.scan is None:
        raise ValueError(f'{findings.scan_id}: the format dicom needs a scan from a DICOM series')
    check(findings.scan)
    with silence():
        objects = _make(findings)
        if SEG not in objects:
            (folder / SEG).unlink(missing_ok=True)
        with staged(folder) as scratch:
            for name, dataset in objects.items():
                dataset.save_as(scratch / name, enforce_file_format=True)
    return [folder / name for name in objects]


def _make(findings: Findings) -> dict:
    """Datasets by the names of their files."""
    try:
        context = import_module('.dicom_context', __package__)
        make_seg = import_module('.dicom_seg', __package__).make_seg
        make_sr = import_module('.dicom_sr', __package__).make_sr
    except ModuleNotFoundError as error:
        raise ValueError(f'the format dicom needs {error.name}: {EXTRA}') from None
    source = context.read_context(findings)
    try:
        seg = make_seg(source) if findings.lesions else None
        report = make_sr(source, seg)
    except (AttributeError, TypeError, ValueError) as error:  # highdicom's quote the header
        raise ValueError(
            f'{findings.scan.source.name}: its headers cannot be taken over into new DICOM '
            f'objects ({type(error).__name__})'
        ) from None
    return {SR: report} if seg is None else {SEG: seg, SR: report}
