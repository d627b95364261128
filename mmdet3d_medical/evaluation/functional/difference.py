"""Is one detector better than another on the same scans?"""

from __future__ import annotations

from dataclasses import dataclass

from .froc import FROCResult, interval


@dataclass(frozen=True)
class Difference:
    """CPM of one result minus that of a reference.

    Attributes:
        cpm: Difference in [-1, 1].
        ci95: (low, high) ends of its confidence interval, or None without bootstraps.
    """

    cpm: float
    ci95: tuple[float, float] | None

    @property
    def verdict(self) -> str:
        """'better', 'worse', 'not resolved' if the interval holds 0, '' without an interval."""
        if self.ci95 is None:
            return ''
        low, high = self.ci95
        return 'better' if low > 0 else 'worse' if high < 0 else 'not resolved'

    def to_dict(self) -> dict:
        """Plain numbers for JSON."""
        return {'cpm': self.cpm, 'ci95': list(self.ci95 or ()), 'verdict': self.verdict}


def cpm_difference(result: FROCResult, reference: FROCResult) -> Difference:
    """Difference in CPM with the interval of a joint bootstrap over scans.

    Each sample scores both on the same drawn scans, so what makes a scan hard for either cancels:
    the interval is narrower than the two of the results suggest. It tells of other scans, not of
    other seeds of the training.

    Args:
        result: Of :func:`~mmdet3d_medical.evaluation.functional.froc`.
        reference: Of the same scans and findings, with the same ``bootstraps`` and ``seed``, so
            that rows of both ``samples`` are of the same draw.

    Raises:
        ValueError: If the two are of different scans, lesions, rates or numbers of bootstraps.
    """
    described = [
        (one.scans, one.tp + one.fn, one.fp_rates, len(one.samples)) for one in (result, reference)
    ]
    if described[0] != described[1]:
        raise ValueError(
            'only results of the same scans can be compared: expected equal scans, lesions, rates '
            f'and bootstraps, found {described[0]} and {described[1]}'
        )
    differences = (result.samples - reference.samples).mean(axis=1, keepdims=True)
    ends = interval(differences)[:, 0].tolist() if len(differences) else None
    return Difference(result.cpm - reference.cpm, tuple(ends) if ends else None)
