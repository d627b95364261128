"""Scores of a run: what its marks give, and what is kept of it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmdet3d_medical.evaluation.functional import FP_RATES, FROCResult, froc
from mmdet3d_medical.evaluation.marks import Marks

from .truth import Truth

BOOTSTRAPS = 1000
STEPS = 65535  # a score in [0, 1] is kept in two bytes


@dataclass(frozen=True, eq=False)
class Score:
    """What the marks of a run are worth.

    Attributes:
        cpm: Mean of the sensitivities, in [0, 1]; at LUNA16's rates this is the CPM.
        sensitivity: (R,) at the rates.
        samples: (B,) the same mean of bootstrap samples, to 1e-5. Of two runs on the same scans
            sample b is of the same draw of scans, so that differences of them can be told.
        scans: That were searched.
        nodules: In them.
        rates: (R,) false positives per scan, or by what else they are counted.
    """

    cpm: float
    sensitivity: np.ndarray
    samples: np.ndarray
    scans: int
    nodules: int
    rates: tuple[float, ...] = FP_RATES

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        samples = np.rint(self.samples * STEPS).astype('<u2').tobytes()
        rates = [f'{rate:g}' for rate in self.rates]
        return dict(
            cpm=self.cpm,
            scans=self.scans,
            nodules=self.nodules,
            sensitivity=dict(zip(rates, self.sensitivity.tolist(), strict=True)),
            samples=base64.b64encode(samples).decode(),
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Score:
        """Of what :meth:`to_dict` gave."""
        samples = np.frombuffer(base64.b64decode(values['samples']), '<u2') / STEPS
        rates = sorted(values['sensitivity'], key=float)
        return cls(
            values['cpm'],
            np.array([values['sensitivity'][rate] for rate in rates]),
            samples,
            values['scans'],
            values['nodules'],
            tuple(map(float, rates)),
        )


def score_name(rates: tuple[float, ...]) -> str:
    """What pages call the mean of the sensitivities at these rates."""
    return 'CPM' if rates == FP_RATES else f'sensitivity at {rates[0]:g} to {rates[-1]:g}'


def froc_of(marks: Marks, truth: Truth, bootstraps: int) -> FROCResult:
    """The FROC curve of marks at the rates of the truth."""
    rates = [rate * truth.share for rate in truth.rates]
    return froc(truth.scan_ids, marks, truth.nodules, truth.excluded, rates, bootstraps=bootstraps)


def score_marks(marks: Marks, truth: Truth, bootstraps: int = BOOTSTRAPS) -> Score:
    """Score marks; those of equal truth and bootstraps are scored on the same draws of scans."""
    result = froc_of(marks, truth, bootstraps)
    return Score(
        result.cpm,
        result.sensitivity,
        result.samples.mean(axis=1),
        result.scans,
        result.tp + result.fn,
        truth.rates,
    )
