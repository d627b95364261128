"""What marks are scored against: files of findings, or the index of a converted data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmdet3d_medical.utils.errors import UsageError

from .marks import Findings, read_findings


@dataclass(frozen=True)
class Truth:
    """Annotations, as marks are scored against them.

    Attributes:
        source: The file they are from.
        lesions: Those to find.
        ignored: Findings on which marks count neither way.
        unannotated: Scans of which the file says that nobody annotated them.
    """

    source: str | Path
    lesions: Findings
    ignored: Findings
    unannotated: frozenset[str] = frozenset()

    def is_annotated(self, scan_id: str) -> bool:
        """Whether a scan can be scored; one that the file does not know can."""
        return scan_id not in self.unannotated


def read_truth(annotations: str | Path, excluded: str | Path | None = None) -> Truth:
    """Read annotations, and findings that count neither way.

    Args:
        annotations: CSV file as :func:`.read_findings` takes, or an index, whose name ends in
            ``.json``.
        excluded: CSV file. Without it an index gives the lesions that it says to ignore.

    Raises:
        ValueError: As :func:`.read_findings` and ``open_index``.
        FileNotFoundError: If there is no such index.
    """
    if Path(annotations).suffix == '.json':
        truth = truth_of_index(annotations)
    else:
        truth = Truth(annotations, read_findings(annotations), Findings.from_rows([]))
    return replace(truth, ignored=read_findings(excluded)) if excluded else truth


def truth_of_index(path: str | Path) -> Truth:
    """The lesions of an index, and which of its scans are not annotated.

    Classes are named where there are several.
    """
    from mmdet3d_medical.datasets.index import open_index  # imports torch

    index = open_index(path)
    names = index['classes'] if len(index['classes']) > 1 else ['']
    rows = {False: [], True: []}
    unannotated = set()
    for scan in index['scans']:
        if not scan['annotated']:
            unannotated.add(scan['scan_id'])
            continue
        for lesion in scan['instances']:
            row = scan['scan_id'], lesion['center'], lesion['diameter'], names[lesion['label']]
            rows[lesion['ignore']].append(row)
    lesions, ignored = Findings.from_rows(rows[False]), Findings.from_rows(rows[True])
    return Truth(path, lesions, ignored, frozenset(unannotated))


def scans_to_score(scans: Sequence[str], truth: Truth) -> list[str]:
    """The annotated ones of some scans; how many others there are is printed.

    In a scan that nobody annotated every mark would be a false positive, and none can be a hit.

    Raises:
        UsageError: If none is annotated.
    """
    annotated = [scan for scan in scans if truth.is_annotated(scan)]
    total, left_out = len({*scans}), len({*scans} - {*annotated})
    if not annotated:
        raise UsageError(
            f'{truth.source}: none of the {total} scans is annotated there, so there is nothing '
            'to score marks against: give annotations of these scans, or list annotated ones with '
            '--seriesuids'
        )
    if left_out:
        print(
            f'{truth.source}: {left_out} of the {total} scans are not annotated and not scored, '
            'nor are the marks in them.'
        )
    return annotated
