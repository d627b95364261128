"""FROC analysis by the rules of LUNA16 (Setio et al., Medical Image Analysis 2017), numpy only.

The rules, in their order:

1. At most ``max_marks`` marks per scan count: with more, only those scored strictly above the
   first one too many.
2. A mark hits a nodule when its squared distance to the center is below the squared radius. The
   best score among a nodule's hits is the nodule's score; a mark inside two nodules counts for
   both. No hit is ever a false positive.
3. Only then the excluded findings: a mark that hit no nodule but lies in an excluded finding is
   dropped. A negative diameter counts as 10 mm.
4. Every other mark is a false positive. Nodules without a hit enter the denominator only.

The order matters: nodules often lie inside excluded findings too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..marks import Findings, Marks

FP_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # of the challenge, false positives per scan
UNKNOWN_DIAMETER = 10.0  # mm
CONFIDENCE = 0.95
_BAND_RATES = np.geomspace(FP_RATES[0], FP_RATES[-1], 61)  # where the plotted band is evaluated


@dataclass(frozen=True, eq=False)
class Matches:
    """What is left of marks after matching: one entry per hit nodule and per false positive.

    Attributes:
        scores: (K,) in descending order.
        scans: (K,) position of the scan in the list of scans.
        hits: (K,) bool, True for a nodule, False for a false positive.
        rows: (K,) row of the nodule, or of the mark that is a false positive, in its table.
        missed: (M,) rows of the nodules in listed scans that no mark hits.
        nodules: (S,) number of nodules in each of the listed scans.
    """

    scores: np.ndarray
    scans: np.ndarray
    hits: np.ndarray
    rows: np.ndarray
    missed: np.ndarray
    nodules: np.ndarray


@dataclass(frozen=True, eq=False)
class FROCResult:
    """Sensitivity against false positives per scan.

    Attributes:
        fp_rates: The R rates that are reported, false positives per scan.
        sensitivity: (R,) in [0, 1]; NaN without nodules.
        tp: Nodules that are hit by any mark.
        fp: False positives.
        fn: Nodules that are not hit.
        scan_ids: Listed scans, each once, in their order.
        curve: (2, P) false positives per scan and sensitivity of each threshold, from (0, 0).
        samples: (B, R) sensitivities of the bootstrap samples, B may be 0. Which scans are in
            sample b depends on the number of scans, B and the seed only: results of the same
            list of scans are paired by rows.
        band: (3, G) rates, lower and upper end of the confidence interval; G = 0 when B is.
        matches: What was found and what was not.
    """

    fp_rates: tuple[float, ...]
    sensitivity: np.ndarray
    tp: int
    fp: int
    fn: int
    scan_ids: tuple[str, ...]
    curve: np.ndarray
    samples: np.ndarray
    band: np.ndarray
    matches: Matches

    @property
    def scans(self) -> int:
        """Number of listed scans."""
        return len(self.scan_ids)

    @property
    def cpm(self) -> float:
        """Competition performance metric: the mean sensitivity over the rates."""
        return float(self.sensitivity.mean())

    def to_dict(self) -> dict:
        """Plain numbers for JSON; ``ci95`` is empty without bootstraps."""
        names = [f'{rate:g}' for rate in self.fp_rates]
        columns = np.column_stack([self.samples.mean(1), self.samples])
        ends = interval(columns).T.tolist() if len(columns) else []
        return {
            'cpm': self.cpm,
            'sensitivity': dict(zip(names, self.sensitivity.tolist(), strict=True)),
            'ci95': dict(zip(['cpm', *names], ends, strict=False)),
            'tp': self.tp,
            'fp': self.fp,
            'fn': self.fn,
            'scans': self.scans,
            'nodules': self.tp + self.fn,
        }


def froc(
    scan_ids: Sequence[str],
    marks: Marks,
    nodules: Findings,
    excluded: Findings | None = None,
    fp_rates: Sequence[float] = FP_RATES,
    max_marks: int = 100,
    bootstraps: int = 0,
    seed: int = 0,
) -> FROCResult:
    """Score marks.

    Args:
        scan_ids: All scans that were searched, those without marks or nodules too: false
            positives are counted per listed scan. Marks and findings elsewhere play no part.
        marks: Detections.
        nodules: Lesions that should be found.
        excluded: Findings on which marks count neither way.
        fp_rates: False positives per scan at which to report sensitivity.
        max_marks: Most marks that count in one scan.
        bootstraps: Number of resamplings over scans for the 95 % confidence interval.
        seed: Seed of the resampling.

    Raises:
        ValueError: If no scan is listed.
    """
    matches = match_marks(scan_ids, marks, nodules, excluded, max_marks)
    curve = froc_curve(matches, np.ones(len(matches.nodules)))
    rates = np.concatenate([fp_rates, _BAND_RATES])
    samples = bootstrap(matches, rates, bootstraps, seed)
    at_rates, at_band = samples[:, : len(fp_rates)], samples[:, len(fp_rates) :]
    tp, total = int(matches.hits.sum()), int(matches.nodules.sum())
    return FROCResult(
        fp_rates=tuple(fp_rates),
        sensitivity=np.interp(fp_rates, *curve),
        tp=tp,
        fp=len(matches.hits) - tp,
        fn=total - tp,
        scan_ids=tuple(dict.fromkeys(scan_ids)),
        curve=curve,
        samples=at_rates,
        band=np.vstack([_BAND_RATES, interval(at_band)]) if bootstraps else np.empty((3, 0)),
        matches=matches,
    )


def match_marks(
    scan_ids: Sequence[str],
    marks: Marks,
    nodules: Findings,
    excluded: Findings | None = None,
    max_marks: int = 100,
) -> Matches:
    """Tell hits from false positives by the four rules.

    Args:
        scan_ids: All scans that were searched; an id listed twice counts once.
        marks: Detections.
        nodules: Lesions that should be found.
        excluded: Findings on which marks count neither way.
        max_marks: Most marks that count in one scan.

    Raises:
        ValueError: If no scan is listed.
    """
    index = {scan: number for number, scan in enumerate(dict.fromkeys(scan_ids))}
    if not index:
        raise ValueError('FROC needs at least one scan, found an empty list of scans')
    excluded = excluded or Findings.from_rows([])
    groups = [_rows_by_scan(table.scan_ids, index) for table in (marks, nodules, excluded)]
    parts = [
        _match_scan(marks, nodules, excluded, *rows, max_marks)
        for rows in zip(*groups, strict=True)
    ]
    scans = np.repeat(np.arange(len(index)), [len(part[0]) for part in parts])
    scores, hits, rows, missed = map(np.concatenate, zip(*parts, strict=True))
    order = np.argsort(-scores, kind='stable')
    counts = np.array([len(rows) for rows in groups[1]])
    return Matches(scores[order], scans[order], hits[order], rows[order], missed, counts)


def froc_curve(matches: Matches, weights: np.ndarray) -> np.ndarray:
    """Operating points, one per distinct score, from (0, 0).

    Args:
        matches: Of S scans.
        weights: (S,) how often each scan counts.

    Returns:
        (2, P): false positives per scan, sensitivity (NaN when the weighted scans have no nodule).
    """
    weight = weights[matches.scans]
    last_of_tie = np.append(matches.scores[1:] != matches.scores[:-1], True)[: len(weight)]
    false_positives = np.cumsum(weight * ~matches.hits)[last_of_tie] / weights.sum()
    found = np.cumsum(weight * matches.hits)[last_of_tie]
    total = weights @ matches.nodules
    curve = np.zeros((2, len(found) + 1))
    curve[0, 1:], curve[1, 1:] = false_positives, found
    curve[1] = curve[1] / total if total else np.nan
    return curve


def bootstrap(matches: Matches, fp_rates: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Sensitivities of resampled data sets: S scans drawn from S with replacement.

    Args:
        matches: Of S scans.
        fp_rates: (R,) false positives per scan.
        samples: Number of resamplings.
        seed: Seed of the draws.

    Returns:
        (samples, R); a row is NaN when its draw has no nodule.
    """
    scans = len(matches.nodules)
    draws = np.random.default_rng(seed).multinomial(scans, np.full(scans, 1 / scans), samples)
    rows = [np.interp(fp_rates, *froc_curve(matches, draw.astype(float))) for draw in draws]
    return np.reshape(rows, (samples, len(fp_rates)))


def interval(samples: np.ndarray) -> np.ndarray:
    """(2, R) ends of the central 95 % interval of (B, R) samples, rows with NaN left out."""
    samples = samples[~np.isnan(samples).any(1)]
    if not len(samples):
        return np.full((2, samples.shape[1]), np.nan)
    return np.quantile(samples, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)


def _rows_by_scan(ids: Sequence[str], index: dict[str, int]) -> list[np.ndarray]:
    """For each scan of ``index`` the positions in ``ids`` that name it."""
    scans = np.array([index.get(scan, -1) for scan in ids], int)
    order = np.argsort(scans, kind='stable')
    return np.split(order, np.searchsorted(scans[order], np.arange(len(index) + 1)))[1:-1]


def _match_scan(marks, nodules, excluded, mark_rows, nodule_rows, excluded_rows, max_marks):
    """Scores, hits, rows (k,) and missed (m,) of one scan, whose rows in the tables are given."""
    rows = _strongest(marks.scores, mark_rows, max_marks)
    scores, centers = marks.scores[rows], marks.centers[rows]
    in_nodule = _inside(centers, nodules, nodule_rows)
    in_excluded = _inside(centers, excluded, excluded_rows)
    best = np.where(in_nodule, scores[:, None], -np.inf).max(0, initial=-np.inf)
    false = ~in_nodule.any(1) & ~in_excluded.any(1)
    found = in_nodule.any(0)
    hits = np.arange(found.sum() + false.sum()) < found.sum()
    scores = np.concatenate([best[found], scores[false]])
    return scores, hits, np.concatenate([nodule_rows[found], rows[false]]), nodule_rows[~found]


def _strongest(scores: np.ndarray, rows: np.ndarray, max_marks: int) -> np.ndarray:
    if len(rows) <= max_marks:
        return rows
    first_too_many = np.sort(scores[rows])[::-1][max_marks]
    return rows[scores[rows] > first_too_many]


def _inside(centers: np.ndarray, findings: Findings, rows: np.ndarray) -> np.ndarray:
    """(M, N): whether each of (M, 3) points lies strictly inside each finding of ``rows``."""
    diameters = findings.diameters[rows]
    radii = np.where(diameters < 0, UNKNOWN_DIAMETER, diameters) / 2
    offsets = centers[:, None] - findings.centers[rows]
    return (offsets**2).sum(2) < radii**2
