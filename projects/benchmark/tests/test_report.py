import json

import numpy as np
import pytest
from study.report import compute, fill, markdown, plot, shared_means
from study.results import Results
from study.rows import RowScore, RunScore
from study.scores import Score
from study.table import read_table

from mmdet3d_medical.evaluation.functional import Difference

from .conftest import PLAIN


def found_in(number, steps=1500, seconds=600.0):
    """A run that finds the only nodule in some of ten scans and marks nothing else."""
    score = Score(number / 10, np.full(7, number / 10), np.empty(0), scans=10, nodules=10)
    return RunScore(score, steps, seconds)


@pytest.fixture
def table(write_table):
    return read_table(write_table())


@pytest.fixture
def scores():
    failed = RunScore(None, 0, 0.0)
    return {
        'plain': RowScore({0: found_in(4), 1: found_in(5, seconds=660.0)}),
        'mixed': RowScore({0: found_in(6)}, Difference(0.2, (0.05, 0.35)), 0.5),
        'later': RowScore({1: failed}),
    }


TABLE = """\
**A table**

| row | seed 0 | seed 1 | mean CPM | compared with | difference | gain | reads | paper | steps | minutes |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| plain | 0.400 | 0.500 | **0.450** |  |  |  |  |  | 1,500 | 10.5 |
| with MixUp | 0.600 | - | **0.600** | plain | +0.200 [+0.050, +0.350] | +50.0 % | better | 0.500 | 1,500 | 10.0 |
| later | - | failed | **-** | plain | - | - | - |  | - | - |

Scored on 10 test scans with 10 nodules. In brackets the 95 % interval of the difference in mean CPM, \
by 1,000 joint bootstraps of scans and seeds; "not resolved" where it holds 0. -: not run yet.

Sensitivity at rates of false positives per scan, mean over seeds:

| row | 0.125 | 0.25 | 0.5 | 1 | 2 | 4 | 8 |
| --- | --- | --- | --- | --- | --- | --- | --- |
| plain | 0.450 | 0.450 | 0.450 | 0.450 | 0.450 | 0.450 | 0.450 |
| with MixUp | 0.600 | 0.600 | 0.600 | 0.600 | 0.600 | 0.600 | 0.600 |
| later | - | - | - | - | - | - | - |

![CPM of each seed](table.png)
"""  # noqa: E501


def test_markdown(table, scores):
    assert markdown(table, scores) == TABLE


def test_other_rates_are_not_called_cpm(table, scores):
    rates = (1.0, 2.0, 4.0, 8.0)
    score = Score(0.4, np.array([0.1, 0.3, 0.5, 0.7]), np.empty(0), 10, 10, rates)
    text = markdown(
        table, dict(scores, plain=RowScore({0: RunScore(score, 1500, 600.0)}), mixed=RowScore({}))
    )
    assert 'CPM' not in text and '| mean sensitivity at 1 to 8 |' in text
    assert 'by its mean sensitivity at 1 to 8 false positives per scan.' in text
    assert '| row | 1 | 2 | 4 | 8 |\n' in text
    assert '| plain | 0.100 | 0.300 | 0.500 | 0.700 |\n' in text


def test_columns_without_an_entry_are_left_out(write_table, scores):
    table = read_table(write_table(rows=[dict(name='plain', config=PLAIN)]))
    text = markdown(table, {'plain': scores['plain']})
    assert '| row | seed 0 | seed 1 | mean CPM | steps | minutes |\n' in text


def test_rows_without_a_run_are_named_below(table, scores):
    text = markdown(table, dict(scores, later=RowScore({})))
    assert '| later |' not in text and text.count('| with MixUp |') == 2
    assert text.endswith('.png)\n\nRows not run yet: `later`.\n')


def test_nothing_is_claimed_before_the_first_run(table):
    scores = {name: RowScore({}) for name in table.rows}
    assert markdown(table, scores) == '**A table**\n\nNot run yet.\n'


def test_compute_is_that_of_runs_that_came_to_an_end(tmp_path):
    assert compute(Results(tmp_path)) == 'Not run yet.\n'
    made = dict(settings='a', row='a', seed=0, amp=False)
    results = (
        dict(made, seconds=5400.0),
        dict(made, seed=1, seconds=1800.0),
        dict(made, seconds=5400.0),  # the same in another table
        dict(made, seconds=3600.0),  # run again
        dict(made, failure='diverged'),
    )
    for number, result in enumerate(results):
        (tmp_path / f'table{number}.jsonl').write_text(json.dumps(result) + '\n')
    assert compute(Results(tmp_path)) == '3 runs, 3.0 hours in all, each on one thread.\n'
    on_gpu = dict(made, settings='b', seconds=1800.0, device='a GPU')
    (tmp_path / 'gpu.jsonl').write_text(json.dumps(on_gpu) + '\n')
    assert compute(Results(tmp_path)) == (
        '3 runs, 3.0 hours in all, each on one thread.\n'
        '1 runs, 0.5 hours in all, several at once on one a GPU.\n'
    )


@pytest.mark.parametrize('options', [{}, dict(x_label='unlabeled scans')])
def test_plots_show_each_seed(options, write_table, scores, tmp_path):
    rows = [dict(name=name, config=PLAIN, x=number) for number, name in enumerate(scores)]
    table = read_table(write_table(rows=rows, **options))
    plot(table, scores, tmp_path / 'plot.png')
    assert (tmp_path / 'plot.png').read_bytes().startswith(b'\x89PNG')


def test_a_line_joins_means_of_the_same_seeds():
    rows = [RowScore({0: found_in(4), 1: found_in(8)}), RowScore({0: found_in(6)})]
    assert shared_means(rows) == pytest.approx([0.4, 0.6])  # not 0.6 and 0.6
    rows[1] = RowScore({1: found_in(6), 0: found_in(6)})
    assert shared_means(rows) == pytest.approx([0.6, 0.6])
    assert np.isnan(shared_means([rows[0], RowScore({2: found_in(6)})])).all()


def test_pages_are_filled_between_their_marks(tmp_path):
    page = tmp_path / 'README.md'
    assert not fill(page, 'table1', 'text\n')
    page.write_text('a\n<!-- table1 -->\nold\n<!-- end of table1 -->\nb\n<!-- table2 -->\n')
    for text in ('one\n', 'two\nlines\n'):
        assert fill(page, 'table1', text)
        assert page.read_text() == (
            f'a\n<!-- table1 -->\n{text}<!-- end of table1 -->\nb\n<!-- table2 -->\n'
        )
    assert not fill(page, 'table2', 'text\n')
    assert not fill(page, 'table', 'text\n')
