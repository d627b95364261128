"""What a detector misses and mistakes: recall by nodule size, missed nodules, false positives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..marks import Findings, Marks
from .froc import FROCResult

SIZE_EDGES = (6.0, 8.0, 15.0)  # mm; a group holds its upper end
SIZE_GROUPS = ('3-6', '6-8', '8-15', '>15', '<3', 'unknown')


@dataclass(frozen=True, eq=False)
class SizeScore:
    """How many nodules of one size are found.

    Attributes:
        sensitivity: (R,) at the false positive rates of the whole set, in [0, 1].
        tp: Nodules that are hit by any mark.
        nodules: How many there are, at least 1.
    """

    sensitivity: np.ndarray
    tp: int
    nodules: int

    @property
    def cpm(self) -> float:
        """The mean sensitivity over the rates."""
        return float(self.sensitivity.mean())


@dataclass(frozen=True)
class Mistake:
    """A nodule that is not found, or a mark that is a false positive.

    Attributes:
        kind: 'missed' or 'false positive'.
        scan_id: Where.
        center: (x, y, z) mm.
        diameter: Of the nodule, or as the mark states it, mm; NaN where not stated.
        score: Of the mark, or of the best mark that hits the nodule; NaN without any.
        fp_per_scan: Lowest rate of false positives at which the mark counts; NaN without any.
    """

    kind: str
    scan_id: str
    center: tuple[float, float, float]
    diameter: float
    score: float
    fp_per_scan: float


def recall_by_size(result: FROCResult, nodules: Findings) -> dict[str, SizeScore]:
    """Sensitivity among the nodules of each size, at the same thresholds for all.

    Groups are 3 to 6, 6 to 8, 8 to 15 and above 15 mm, their upper ends included; those below
    3 mm or of unknown (negative) diameter have groups of their own. Groups without any nodule are
    left out.

    Args:
        result: Of :func:`~mmdet3d_medical.evaluation.functional.froc`.
        nodules: The table that it was scored against.
    """
    matches, groups = result.matches, _size_groups(nodules.diameters)
    listed = np.concatenate([matches.rows[matches.hits], matches.missed])
    present = [group for group in SIZE_GROUPS if (groups[listed] == group).any()]
    return {group: _score_of(result, groups == group) for group in present}


def worst_mistakes(
    result: FROCResult, marks: Marks, nodules: Findings, most: int = 100
) -> Iterator[Mistake]:
    """Nodules that are not found at the highest reported rate, largest first, then false positives.

    Args:
        result: Of :func:`~mmdet3d_medical.evaluation.functional.froc`.
        marks: The tables that were scored.
        nodules: The same.
        most: False positives to give, those with the highest scores.
    """
    matches, rates = result.matches, _false_positive_rates(result)
    found = list(zip(matches.rows, matches.scores, rates, strict=True))
    late = (matches.hits & (rates > max(result.fp_rates))).nonzero()[0]
    missed = [*((row, np.nan, np.nan) for row in matches.missed), *(found[at] for at in late)]
    for row, score, rate in sorted(missed, key=lambda entry: -nodules.diameters[entry[0]]):
        yield _mistake('missed', nodules, row, score, rate)
    for at in (~matches.hits).nonzero()[0][:most]:
        yield _mistake('false positive', marks, *found[at])


def _mistake(kind: str, table: Findings | Marks, row: int, score: float, rate: float) -> Mistake:
    center = tuple(table.centers[row].tolist())
    diameter = float(table.diameters[row])
    return Mistake(kind, table.scan_ids[row], center, diameter, float(score), float(rate))


def _size_groups(diameters: np.ndarray) -> np.ndarray:
    """(N,) names of groups."""
    groups = np.array(SIZE_GROUPS)[np.searchsorted(SIZE_EDGES, diameters)]
    groups[diameters < 3] = '<3'
    groups[diameters < 0] = 'unknown'
    return groups


def _score_of(result: FROCResult, chosen: np.ndarray) -> SizeScore:
    """Score of the chosen (N,) rows of nodules, among all false positives."""
    matches, hits = result.matches, result.matches.hits.copy()
    hits[hits] = chosen[matches.rows[hits]]
    tp = int(hits.sum())
    number = tp + int(chosen[matches.missed].sum())
    found = np.cumsum(hits)[_last_of_tie(matches.scores)] / number
    curve = np.pad([_false_positive_rates(result), found], ((0, 0), (1, 0)))  # from (0, 0)
    return SizeScore(np.interp(result.fp_rates, *curve), tp, number)


def _false_positive_rates(result: FROCResult) -> np.ndarray:
    """(K,) false positives per scan among the marks that score at least as high as each."""
    matches = result.matches
    return np.cumsum(~matches.hits)[_last_of_tie(matches.scores)] / result.scans


def _last_of_tie(scores: np.ndarray) -> np.ndarray:
    """(K,) for each of (K,) descending scores the last position with the same score."""
    return np.searchsorted(-scores, -scores, side='right') - 1
