"""Marks of a benchmark's runs, and their scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmdet3d_medical.evaluation.functional import FP_RATES, FROCResult, froc
from mmdet3d_medical.evaluation.functional.froc import match_marks
from mmdet3d_medical.evaluation.marks import Marks

from .data import Truth
from .table import Run

KEPT_FP_RATE = 2 * max(FP_RATES)  # false positives per scan; twice, for scans that are resampled


def result_file(results: Path, run: Run) -> Path:
    """The file that a finished run has in the folder of results."""
    return results / f'{run.name}.json'


def marks_file(results: Path, run: Run) -> Path:
    """Its marks."""
    return results / f'{run.name}.csv.gz'


def influential_marks(marks: Marks, truth: Truth) -> Marks:
    """The marks that can influence sensitivities at LUNA16's rates, sizes and digits left out.

    Kept are those scored at least as high as the false positive with which there are
    ``KEPT_FP_RATE`` per scan. Positions keep 0.01 mm, scores six digits.
    """
    matches = match_marks(truth.scan_ids, marks, truth.nodules, truth.excluded)
    false = matches.scores[~matches.hits]
    number = int(KEPT_FP_RATE * len(truth.scan_ids))
    least = false[number] if len(false) > number else -np.inf
    rows = zip(marks.scan_ids, marks.centers.round(2).tolist(), marks.scores, strict=True)
    return Marks.from_rows((scan, center, float(f'{score:.6g}'), np.nan, '')
                           for scan, center, score in rows if score >= least)


def score_marks(marks: Marks, truth: Truth, bootstraps: int = 0) -> FROCResult:
    """FROC of marks; those of equal truth and bootstraps are scored on the same draws of scans."""
    return froc(truth.scan_ids, marks, truth.nodules, truth.excluded, bootstraps=bootstraps)
