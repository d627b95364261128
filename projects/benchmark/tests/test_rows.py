import numpy as np
import pytest
from study.rows import score_rows
from study.table import read_table, runs_of

from mmdet3d_medical.evaluation.functional import difference_over_seeds
from mmdet3d_medical.utils.errors import UsageError

from .conftest import PLAIN


@pytest.fixture
def table(write_table):
    return read_table(write_table())


@pytest.fixture
def score(bench):
    return lambda table: score_rows(table, bench.results)


def test_means_differences_and_cost(table, bench, score, write_result):
    for run in runs_of(table):
        found = {'plain': 1, 'mixed': 3, 'later': 2 + run.seed}[run.setting.name]
        write_result(run, found, false=0, steps=5 if run.setting.name == 'later' else 4)
    plain, mixed, later = score(table).values()
    nodules = plain.scored[0].nodules
    assert nodules >= 4  # else the numbers above say nothing
    assert plain.cpm == pytest.approx(1 / nodules) and plain.difference is None
    assert plain.sensitivity == pytest.approx([1 / nodules] * 7)
    assert mixed.difference.cpm == pytest.approx(2 / nodules)
    assert mixed.gain == pytest.approx(2.0)
    assert later.cpm == pytest.approx(2.5 / nodules)
    assert later.gain == pytest.approx(1.5)
    pairs = [(later.scored[seed], plain.scored[seed]) for seed in (0, 1)]
    assert later.difference == difference_over_seeds(
        [one.cpm - other.cpm for one, other in pairs],
        np.array([one.samples - other.samples for one, other in pairs]),
    )
    # With what it started from.
    assert [(run.steps, run.seconds) for run in later.runs.values()] == [(9, 180.0)] * 2


def test_only_seeds_that_both_have_are_compared(table, score, write_result):
    runs = {run.name: run for run in runs_of(table)}
    write_result(runs['table/plain_seed0'], 2)
    write_result(runs['table/plain_seed1'], 4)
    write_result(runs['table/mixed_seed1'], 4)
    plain, mixed, later = score(table).values()
    assert list(mixed.runs) == [1] and later.runs == {} and np.isnan(later.cpm)
    assert mixed.difference.cpm == 0 and mixed.gain == 0 and later.difference is None
    assert plain.cpm == pytest.approx(np.mean([plain.scored[0].cpm, plain.scored[1].cpm]))


def test_a_run_without_the_result_of_its_start_is_not_finished(table, score, write_result):
    for run in runs_of(table):
        if run.name != 'table/plain_seed1':
            write_result(run, 2)
    plain, _, later = score(table).values()  # the last starts from the first
    assert list(plain.runs) == list(later.runs) == [0]


def test_a_failed_seed_leaves_no_mean_of_the_lucky_ones(table, score, write_result):
    for run in runs_of(table):
        failed = run.name == 'table/mixed_seed0'
        write_result(run, 3, **dict(failure='diverged') if failed else {})
    plain, mixed, later = score(table).values()
    assert mixed.failed and mixed.runs[0].score is None and list(mixed.scored) == [1]
    assert np.isnan(mixed.cpm) and mixed.difference is None
    assert later.difference is not None and not np.isnan(plain.cpm)


def test_nothing_is_compared_with_a_row_that_failed(table, score, write_result):
    for run in runs_of(table):
        write_result(run, 3, **dict(failure='') if run.name == 'table/plain_seed1' else {})
    assert score(table)['mixed'].difference is None


def test_a_row_that_finds_nothing_has_no_gain_over_it(write_table, score, write_result):
    table = read_table(
        write_table(
            seeds=[0],
            rows=[dict(name='a', config=PLAIN), dict(name='b', config=PLAIN, baseline='a')],
        )
    )
    for run, found in zip(runs_of(table), (0, 2), strict=True):
        write_result(run, found)
    assert score(table)['b'].gain is None


def test_results_at_different_rates_are_not_compared(table, score, write_result):
    first, *_, last = runs_of(table)[:2]
    write_result(first, 2)
    write_result(last, 2, sensitivity={'1': 0.2, '8': 0.6})
    with pytest.raises(UsageError, match='results at different rates'):
        score(table)


def test_teachers_are_part_of_the_cost_once(write_table, score, write_result):
    rows = [
        dict(name='plain', config=PLAIN),
        dict(
            name='taught',
            config=PLAIN,
            start='plain',
            teachers=dict(row='plain', offsets=[0, 2]),
        ),
    ]
    table = read_table(write_table(rows=rows, seeds=[0]))
    _, taught = runs_of(table)
    write_result(taught, 2, steps=5)
    write_result(taught.teachers[0], 2, steps=4)
    assert score(table)['taught'].runs == {}  # one of the teachers has no result
    write_result(taught.teachers[1], 2, steps=4)
    assert score(table)['taught'].runs[0].steps == 13
