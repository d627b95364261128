"""Scores of a run: what its marks give, and what is kept of it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmdet3d_medical.evaluation.functional import FP_RATES, froc
from mmdet3d_medical.evaluation.marks import Marks

from .truth import Truth

BOOTSTRAPS = 1000
STEPS = 65535  # a CPM in [0, 1] is kept in two bytes


@dataclass(frozen=True, eq=False)
class Score:
    """What the marks of a run are worth.

    Attributes:
        cpm: In [0, 1].
        sensitivity: (R,) at LUNA16's rates.
        samples: (B,) CPM of bootstrap samples, to 1e-5. Of two runs on the same scans sample b is
            of the same draw of scans, so that differences of them can be told.
        scans: That were searched.
        nodules: In them.
    """

    cpm: float
    sensitivity: np.ndarray
    samples: np.ndarray
    scans: int
    nodules: int

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        samples = np.rint(self.samples * STEPS).astype('<u2').tobytes()
        rates = [f'{rate:g}' for rate in FP_RATES]
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
        sensitivity = np.array([values['sensitivity'][f'{rate:g}'] for rate in FP_RATES])
        return cls(values['cpm'], sensitivity, samples, values['scans'], values['nodules'])


def score_marks(marks: Marks, truth: Truth, bootstraps: int = BOOTSTRAPS) -> Score:
    """Score marks; those of equal truth and bootstraps are scored on the same draws of scans."""
    rates = [rate * truth.share for rate in FP_RATES]
    result = froc(
        truth.scan_ids, marks, truth.nodules, truth.excluded, rates, bootstraps=bootstraps
    )
    return Score(
        result.cpm,
        result.sensitivity,
        result.samples.mean(axis=1),
        result.scans,
        result.tp + result.fn,
    )
