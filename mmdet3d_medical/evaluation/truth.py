"""What marks are scored against: files of findings, or the index of a converted data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.lesion_rows import REVIEW, is_ignored, is_lesion, read_lesion_table

from .marks import Findings, finding_of, read_findings


@dataclass(frozen=True)
class Truth:
    """Annotations, as marks are scored against them.

    Attributes:
        source: The file they are from.
        lesions: Those to find.
        ignored: Findings on which marks count neither way.
        without_lesions: Scans that a table names, but nothing to find in them.
        unannotated: Scans of which an index says that nobody annotated them.
        is_review: Whether it is a review saved from a report, which tells nothing of the scans
            that it does not name.
    """

    source: str | Path
    lesions: Findings
    ignored: Findings
    without_lesions: frozenset[str] = frozenset()
    unannotated: frozenset[str] = frozenset()
    is_review: bool = False

    @property
    def named(self) -> frozenset[str]:
        """Scans with lesions, and all others that a table names."""
        return self.without_lesions.union(self.lesions.scan_ids)

    def unannotated_among(self, scans: Iterable[str]) -> set[str]:
        """Those of some scans that cannot be scored; what an index does not know can."""
        return {*scans} - self.named if self.is_review else {*scans} & self.unannotated


def read_truth(annotations: str | Path, excluded: str | Path | None = None) -> Truth:
    """Read annotations, and findings that count neither way.

    Args:
        annotations: CSV file as :func:`truth_of_table` takes, or an index, whose name ends in
            ``.json``.
        excluded: CSV file as :func:`.read_findings` takes. Rows that a CSV file of annotations
            says to ignore are added. Without it an index gives the lesions that it says to ignore.

    Raises:
        ValueError: As :func:`truth_of_table`, :func:`.read_findings` and ``open_index``.
        FileNotFoundError: If there is no such index.
    """
    is_index = Path(annotations).suffix == '.json'
    truth = truth_of_index(annotations) if is_index else truth_of_table(annotations)
    if not excluded:
        return truth
    more = read_findings(excluded)
    return replace(truth, ignored=more if is_index else _joined(more, truth.ignored))


def _joined(some: Findings, others: Findings) -> Findings:
    if not others.scan_ids:
        return some  # as of LUNA16, whose list is long
    return Findings.from_rows([*zip(*some, strict=True), *zip(*others, strict=True)])


def truth_of_table(path: str | Path) -> Truth:
    """The lesions of a CSV file, by the rules of training data: see ``docs/data.md``.

    A negative diameter means unknown, as in LUNA16's lists.

    Args:
        path: CSV as :func:`.read_findings` takes. Rows count neither way where the column
            ``ignore`` says 1.

    Raises:
        ValueError: As :func:`.read_findings`, or if ``ignore`` says something else than 0 or 1.
    """
    table = read_lesion_table(path)
    rows = {False: [], True: []}
    for row in filter(is_lesion, table.rows):
        rows[is_ignored(row)].append(finding_of(row))
    lesions, ignored = Findings.from_rows(rows[False]), Findings.from_rows(rows[True])
    without = frozenset(row.scan_id() for row in table.rows).difference(lesions.scan_ids)
    return Truth(path, lesions, ignored, without, is_review=REVIEW in table.columns)


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
    return Truth(path, lesions, ignored, unannotated=frozenset(unannotated))


def scans_to_score(scans: Sequence[str], truth: Truth) -> list[str]:
    """The annotated ones of some scans; how many others there are is printed.

    In a scan that nobody annotated every mark would be a false positive, and none can be a hit.

    Raises:
        UsageError: If none is annotated.
    """
    unannotated = truth.unannotated_among(scans)
    annotated = [scan for scan in scans if scan not in unannotated]
    total, left_out = len({*scans}), len(unannotated)
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
