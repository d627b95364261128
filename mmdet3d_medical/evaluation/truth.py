"""What marks are scored against: files of findings, or the index of a converted data set."""

from __future__ import annotations

from pathlib import Path

from .marks import Findings, read_findings


def read_truth(annotations: str | Path, excluded: str | Path | None) -> tuple[Findings, Findings]:
    """Read lesions, and findings that count neither way.

    Args:
        annotations: CSV file as :func:`.read_findings` takes, or an index, whose name ends in
            ``.json``.
        excluded: CSV file. Without it an index gives the lesions that it says to ignore.

    Raises:
        ValueError: As :func:`.read_findings` and ``open_index``.
        FileNotFoundError: If there is no such index.
    """
    none = Findings.from_rows([])
    if Path(annotations).suffix == '.json':
        lesions, ignored = findings_of_index(annotations)
    else:
        lesions, ignored = read_findings(annotations), none
    return lesions, read_findings(excluded) if excluded else ignored


def findings_of_index(path: str | Path) -> tuple[Findings, Findings]:
    """Lesions, and those to ignore, of the annotated scans of an index.

    Classes are named where there are several.
    """
    from mmdet3d_medical.datasets.index import open_index  # imports torch

    index = open_index(path)
    names = index['classes'] if len(index['classes']) > 1 else ['']
    rows = {False: [], True: []}
    for scan in index['scans']:
        for lesion in scan['instances'] * scan['annotated']:
            row = scan['scan_id'], lesion['center'], lesion['diameter'], names[lesion['label']]
            rows[lesion['ignore']].append(row)
    return Findings.from_rows(rows[False]), Findings.from_rows(rows[True])
