"""What marks of a benchmark are scored against."""

from __future__ import annotations

from typing import NamedTuple

from mmdet3d_medical.evaluation.marks import Findings


class Truth(NamedTuple):
    """What marks are scored against.

    Attributes:
        scan_ids: All scans that are searched.
        nodules: Lesions to find.
        excluded: Findings on which marks count neither way.
        share: Of a scan in what false positives are counted by; 1 is by the scan.
    """

    scan_ids: list[str]
    nodules: Findings
    excluded: Findings
    share: float = 1.0
