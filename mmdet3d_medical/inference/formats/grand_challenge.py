"""``findings.points.json``: "multiple points" as grand-challenge.org's platform takes them.

Points are world positions (x, y, z) in mm, LPS.
"""

from pathlib import Path

from mmdet3d_medical.inference.findings import Findings
from mmdet3d_medical.utils.files import write_json

NAME = 'findings.points.json'


def write(findings: Findings, folder: Path) -> list[Path]:
    """Write the file."""
    points = [
        {
            'name': f'{lesion.class_name} {number}',
            'point': list(lesion.center_mm),
            'probability': lesion.score,
        }
        for number, lesion in enumerate(findings.lesions, start=1)
    ]
    content = {
        'type': 'Multiple points',
        'name': 'findings',
        'points': points,
        'version': {'major': 1, 'minor': 0},
    }
    write_json(folder / NAME, content)
    return [folder / NAME]
