"""What a detector gives at a score: how much it finds, and how much of what it marks is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .froc import FP_RATES, FROCResult


@dataclass(frozen=True)
class OperatingPoint:
    """Marks of a score and above.

    Attributes:
        score: The lowest score that counts.
        tp: Nodules that are hit.
        fp: False positives.
        sensitivity: Share of the nodules that are hit, in [0, 1].
        precision: tp / (tp + fp), several marks on one nodule as one; None without any mark.
        fp_per_scan: False positives per listed scan.
    """

    score: float
    tp: int
    fp: int
    sensitivity: float
    precision: float | None
    fp_per_scan: float


def operating_points(result: FROCResult, scores: Sequence[float]) -> list[OperatingPoint]:
    """One for each score.

    Args:
        result: Of :func:`~mmdet3d_medical.evaluation.functional.froc`, with nodules.
        scores: Lowest scores that count, on the scale of the marks.
    """
    return [_point(result, score) for score in scores]


def _point(result: FROCResult, score: float) -> OperatingPoint:
    hits = result.matches.hits[result.matches.scores >= score]
    tp, fp = int(hits.sum()), int((~hits).sum())
    return OperatingPoint(
        score=score,
        tp=tp,
        fp=fp,
        sensitivity=tp / (result.tp + result.fn),
        precision=tp / (tp + fp) if tp + fp else None,
        fp_per_scan=fp / result.scans,
    )


def rate_points(
    result: FROCResult, rates: Sequence[float] = FP_RATES, per: float = 1.0
) -> list[OperatingPoint]:
    """The lowest score at which there are at most so many false positives in a scan.

    Args:
        result: Of :func:`~mmdet3d_medical.evaluation.functional.froc`, with nodules.
        rates: False positives per scan.
        per: Whole scans that a listed scan stands for: below 1 where it is a part of one.

    Returns:
        One for each rate that some marks allow, with ``fp_per_scan`` per whole scan; equal ones
        once.
    """
    scores, hits = result.matches.scores, result.matches.hits
    counts = np.cumsum(~hits)[np.append(scores[1:] != scores[:-1], True)[: len(scores)]]
    distinct = np.unique(scores)[::-1]
    found: dict[float, OperatingPoint] = {}
    for rate in rates:
        allowed = distinct[counts <= rate * result.scans * per]
        if len(allowed):
            point = _point(result, float(allowed[-1]))
            found[point.score] = replace(point, fp_per_scan=point.fp / (result.scans * per))
    return list(found.values())
