"""``findings.json``: all that is known of the findings of a scan."""

from pathlib import Path

from mmdet3d_medical.inference.findings import Findings
from mmdet3d_medical.utils.files import write_json

NAME = 'findings.json'


def write(findings: Findings, folder: Path) -> list[Path]:
    """Write the file."""
    write_json(folder / NAME, findings.to_dict())
    return [folder / NAME]
