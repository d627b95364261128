"""Statistics of the rows of a table, from the results that are kept of its runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mmdet3d_medical.evaluation.functional import Difference, difference_over_seeds
from mmdet3d_medical.utils.errors import UsageError

from .results import Results
from .scores import Score
from .table import Run, Table, runs_of


@dataclass(frozen=True, eq=False)
class RunScore:
    """What is known of a finished run.

    Attributes:
        score: Of its marks; None if the training failed.
        steps: Of the training and of all it needed.
        seconds: Wall time of these steps.
    """

    score: Score | None
    steps: int
    seconds: float


@dataclass(frozen=True, eq=False)
class RowScore:
    """What is known of a row.

    Attributes:
        runs: By seed, those that are finished.
        difference: In mean score from the baseline, over the seeds that are finished of both; None
            if there are none, a run of either failed or there is no baseline.
        gain: The difference as a share of the baseline's mean score over the same seeds.
    """

    runs: dict[int, RunScore]
    difference: Difference | None = None
    gain: float | None = None

    @property
    def scored(self) -> dict[int, Score]:
        """By seed, results of the runs that did not fail."""
        return {seed: run.score for seed, run in self.runs.items() if run.score is not None}

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


def score_rows(table: Table, results: Results) -> dict[str, RowScore]:
    """Score the rows of a table by the results that are there.

    Raises:
        UsageError: If they are not all at the same rates of false positives.
    """
    scores = {}
    for name in table.rows:
        runs = {run.seed: _score_run(run, results) for run in runs_of(table, [name])}
        scores[name] = RowScore({seed: run for seed, run in runs.items() if run is not None})
    rates = {score.rates for row in scores.values() for score in row.scored.values()}
    if len(rates) > 1:
        raise UsageError(
            f'{table.path}: results at different rates, {sorted(rates)}: run some again'
        )
    return {
        name: _compare(score, scores.get(table.rows[name].baseline))
        for name, score in scores.items()
    }


def _score_run(run: Run, results: Results) -> RunScore | None:
    """None unless it has a result, and all it needed too, whose cost is part of its own."""
    history = [results.find(one) for one in _history(run).values()]
    if None in history:
        return None
    if 'failure' in history[0]:
        return RunScore(None, 0, 0.0)
    steps, seconds = (sum(result[key] for result in history) for key in ('steps', 'seconds'))
    return RunScore(Score.from_dict(history[0]), steps, seconds)


def _history(run: Run) -> dict[str, Run]:
    """By name a run, what it started from, its teachers, and so on: each once."""
    history = {run.name: run}
    for one in run.needed:
        history |= _history(one)
    return history


def _compare(score: RowScore, baseline: RowScore | None) -> RowScore:
    seeds = [seed for seed in score.scored if baseline and seed in baseline.scored]
    if not seeds or score.failed or baseline.failed:
        return score
    pairs = [(score.scored[seed], baseline.scored[seed]) for seed in seeds]
    difference = difference_over_seeds(
        [one.cpm - other.cpm for one, other in pairs],
        np.array([one.samples - other.samples for one, other in pairs]),
    )
    usual = float(np.mean([other.cpm for _, other in pairs]))
    return replace(score, difference=difference, gain=difference.cpm / usual if usual else None)
