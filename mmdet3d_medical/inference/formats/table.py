"""``findings.csv``: the columns of LUNA16's submissions, then sizes and class."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from mmdet3d_medical.inference.findings import Findings
from mmdet3d_medical.utils.files import write_text

NAME = 'findings.csv'
COLUMNS = (
    *('seriesuid', 'coordX', 'coordY', 'coordZ', 'probability', 'diameter_mm'),
    *('sizeX', 'sizeY', 'sizeZ', 'class'),
)


def write(findings: Findings, folder: Path) -> list[Path]:
    """Write the file."""
    write_table([findings], folder / NAME)
    return [folder / NAME]


def write_table(scans: Iterable[Findings], path: Path) -> None:
    """Write the findings of any number of scans, with the header where there are none."""
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(COLUMNS)
    for findings in scans:
        for lesion in findings.lesions:
            sizes = lesion.diameter_mm, *lesion.size_mm
            center = [f'{value:.4f}' for value in lesion.center_mm]
            row = [*center, f'{lesion.score:.9g}', *(f'{value:.4f}' for value in sizes)]
            writer.writerow([findings.scan_id, *row, lesion.class_name])
    write_text(path, text.getvalue())
