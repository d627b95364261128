"""Statistics of the rows of a table, from the results that are kept of its runs."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mmdet3d_medical.evaluation.functional import Difference, FROCResult, mean_cpm_difference
from mmdet3d_medical.evaluation.marks import read_marks

from .data import BenchmarkData, Truth
from .scores import marks_file, result_file, score_marks
from .table import Run, Table, runs_of

BOOTSTRAPS = 1000


@dataclass(frozen=True, eq=False)
class RunScore:
    """What is known of a finished run.

    Attributes:
        froc: Its FROC; None if the training failed.
        steps: Of the training and of what it started from.
        seconds: Wall time of these steps.
    """

    froc: FROCResult | None
    steps: int
    seconds: float


@dataclass(frozen=True, eq=False)
class RowScore:
    """What is known of a row.

    Attributes:
        runs: By seed, those that are finished.
        difference: In mean CPM from the baseline, over the seeds that are finished of both; None
            if there are none, a training of either failed or there is no baseline.
        gain: The difference as a share of the baseline's mean CPM over the same seeds.
    """

    runs: dict[int, RunScore]
    difference: Difference | None = None
    gain: float | None = None

    @property
    def scored(self) -> dict[int, FROCResult]:
        """By seed, results of the runs that did not fail."""
        return {seed: run.froc for seed, run in self.runs.items() if run.froc is not None}

    @property
    def failed(self) -> bool:
        """Whether any training failed: a mean over the others would be one of lucky seeds."""
        return len(self.scored) < len(self.runs)

    @property
    def cpm(self) -> float:
        """Mean over seeds; NaN if any failed or none is finished."""
        if self.failed or not self.runs:
            return float('nan')
        return float(np.mean([result.cpm for result in self.scored.values()]))

    @property
    def sensitivity(self) -> np.ndarray:
        """(R,) mean over seeds."""
        return np.mean([result.sensitivity for result in self.scored.values()], axis=0)


def score_rows(table: Table, data: BenchmarkData, results: Path) -> dict[str, RowScore]:
    """Score the rows of a table by the results that are there.

    Args:
        table: The table.
        data: Its data set. Without results its findings need not be recorded yet.
        results: Folder of the results.

    Raises:
        ValueError: If marks are missing, or a result is not what its marks give.
    """
    finished = {
        name: [run for run in runs_of(table, [name]) if _is_finished(run, results)]
        for name in table.rows
    }
    truth = data.truth(table.scored_on) if any(finished.values()) else None
    scores = {
        name: RowScore({run.seed: _score_run(run, truth, results) for run in runs})
        for name, runs in finished.items()
    }
    return {name: _compare(score, scores.get(table.rows[name].baseline))
            for name, score in scores.items()}


def _is_finished(run: Run, results: Path) -> bool:
    """Whether it has a result, and what it started from too, whose cost is part of its own."""
    before = run.start is None or _is_finished(run.start, results)
    return before and result_file(results, run).is_file()


def _score_run(run: Run, truth: Truth, results: Path) -> RunScore:
    result = json.loads(result_file(results, run).read_text())
    if 'failure' in result:
        return RunScore(None, 0, 0.0)
    froc = score_marks(read_marks(marks_file(results, run)), truth, BOOTSTRAPS)
    if not np.isclose(froc.cpm, result['cpm'], atol=1e-9):
        raise ValueError(f'{result_file(results, run)} has CPM {result["cpm"]}, but its marks give '
                         f'{froc.cpm}: delete the result to test it again')
    return RunScore(froc, *_cost(run, results))


def _cost(run: Run, results: Path) -> tuple[int, float]:
    """Steps and seconds of a training and of what it started from."""
    result = json.loads(result_file(results, run).read_text())
    steps, seconds = _cost(run.start, results) if run.start else (0, 0.0)
    return steps + result['steps'], seconds + result['seconds']


def _compare(score: RowScore, baseline: RowScore | None) -> RowScore:
    seeds = [seed for seed in score.scored if baseline and seed in baseline.scored]
    if not seeds or score.failed or baseline.failed:
        return score
    references = [baseline.scored[seed] for seed in seeds]
    difference = mean_cpm_difference([score.scored[seed] for seed in seeds], references)
    usual = float(np.mean([reference.cpm for reference in references]))
    return replace(score, difference=difference, gain=difference.cpm / usual if usual else None)
