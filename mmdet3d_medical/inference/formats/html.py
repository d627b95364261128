"""``report.html``: the scan and its findings on a page, to be looked at and reviewed."""

from pathlib import Path

from mmdet3d_medical.inference.findings import Findings
from mmdet3d_medical.inference.report import scan_page
from mmdet3d_medical.utils.files import write_text

NAME = 'report.html'


def write(findings: Findings, folder: Path) -> list[Path]:
    """Write the file."""
    write_text(folder / NAME, scan_page(findings))
    return [folder / NAME]
