"""Differences of two results, worked out by hand."""

import numpy as np
import pytest

from mmdet3d_medical.evaluation.functional import cpm_difference, froc, mean_cpm_difference
from mmdet3d_medical.evaluation.functional.difference import Difference
from mmdet3d_medical.evaluation.marks import Findings, Marks

SCANS = [f'{number}' for number in range(40)]
NODULES = Findings.from_rows([(scan, (0, 0, 0), 10, '') for scan in SCANS])


def found_in(number, **settings):
    """One nodule a scan, found in the first scans, no false positive: CPM is the share found."""
    marks = Marks.from_rows([(scan, (0, 0, 0), 0.5, 5, '') for scan in SCANS[:number]])
    return froc(SCANS, marks, NODULES, **{'bootstraps': 500, **settings})


def test_equal_results_differ_by_exactly_0():
    difference = cpm_difference(found_in(30), found_in(30))
    assert difference == Difference(0.0, (0.0, 0.0)) and difference.verdict == 'not resolved'


def test_interval_is_that_of_the_scans_that_differ():
    # 10 of 40 scans tell the two apart. A draw holds Binomial(40, 1/4) / 40 of them, whose 2.5 %
    # and 97.5 % quantiles are 5 / 40 and 16 / 40, however many scans are found by both.
    for both in (0, 30):
        difference = cpm_difference(found_in(both), found_in(both + 10))
        assert difference.cpm == pytest.approx(-0.25)
        assert difference.ci95 == pytest.approx((-16 / 40, -5 / 40), abs=1.01 / 40)
        assert difference.verdict == 'worse'


def test_both_are_scored_on_the_same_draws():
    # Three found nodules exchanged for three others: equal CPM, and each draw differs by the
    # numbers of times it holds the scans of either, drawn here once more.
    first = found_in(3)
    marks = Marks.from_rows([(scan, (0, 0, 0), 0.5, 5, '') for scan in SCANS[3:6]])
    second = froc(SCANS, marks, NODULES, bootstraps=500)
    draws = np.random.default_rng(0).multinomial(40, [1 / 40] * 40, 500)
    expected = (draws[:, 3:6].sum(1) - draws[:, :3].sum(1)) / 40
    difference = cpm_difference(second, first)
    assert difference.ci95 == pytest.approx(tuple(np.quantile(expected, [0.025, 0.975])))
    assert difference.cpm == 0 and difference.verdict == 'not resolved'


def test_the_order_flips_the_sign():
    one, other = found_in(12), found_in(25)
    forth, back = cpm_difference(other, one), cpm_difference(one, other)
    assert forth.cpm == -back.cpm == pytest.approx(13 / 40)
    assert forth.ci95 == pytest.approx((-back.ci95[1], -back.ci95[0]))
    assert (forth.verdict, back.verdict) == ('better', 'worse')


def test_without_bootstraps_there_is_no_verdict():
    difference = cpm_difference(found_in(4, bootstraps=0), found_in(2, bootstraps=0))
    assert difference.to_dict() == {'cpm': pytest.approx(0.05), 'ci95': [], 'verdict': ''}


def test_draws_without_a_nodule_are_left_out():
    nodules = Findings.from_rows([('a', (0, 0, 0), 10, '')])
    rows = [('a', (0, 0, 0), 0.5, 5, '')], []
    hit, missed = (froc(['a', 'b'], Marks.from_rows(r), nodules, bootstraps=50) for r in rows)
    assert np.isnan(hit.samples).any()
    assert cpm_difference(hit, missed).ci95 == (1, 1)


@pytest.mark.parametrize(
    'ends, verdict',
    [
        ((0.0, 0.2), 'not resolved'),
        ((-0.2, 0.0), 'not resolved'),
        ((-0.1, 0.1), 'not resolved'),
        ((0.001, 0.2), 'better'),
        ((-0.2, -0.001), 'worse'),
        (None, ''),
    ],
)
def test_verdicts(ends, verdict):
    assert Difference(0.0, ends).verdict == verdict


def test_results_that_cannot_be_paired_are_refused():
    reference = found_in(3)
    fewer = froc(SCANS[:39], Marks.from_rows([]), NODULES, bootstraps=500)
    for other in (fewer, found_in(3, bootstraps=400), found_in(3, fp_rates=(1.0, 2.0))):
        with pytest.raises(ValueError, match='of the same scans'):
            cpm_difference(other, reference)


def test_seeds_that_agree_tell_no_more_than_one():
    once = cpm_difference(found_in(20), found_in(10))
    assert mean_cpm_difference([found_in(20)] * 3, [found_in(10)] * 3) == once


def test_seeds_that_differ_widen_the_interval():
    # All scans alike, so only seeds matter: differences of 1 and 0. Two draws of them have the mean
    # 0, 1/2 or 1; widened by sqrt 2 the ends are 1/2 - sqrt 2 / 2 and 1/2 + sqrt 2 / 2.
    difference = mean_cpm_difference([found_in(40), found_in(40)], [found_in(0), found_in(40)])
    assert difference.cpm == pytest.approx(0.5)
    assert difference.ci95 == pytest.approx((0.5 - 0.5**0.5, 0.5 + 0.5**0.5))
    assert difference.verdict == 'not resolved'


def test_pairs_of_a_seed_stay_together():
    # Either method spreads widely over seeds, but their difference is the same for each.
    good, bad = [found_in(35), found_in(15)], [found_in(30), found_in(10)]
    assert mean_cpm_difference(good, bad).verdict == 'better'
    assert mean_cpm_difference(good, bad[::-1]).verdict == 'not resolved'


def test_seeds_and_scans_are_drawn_jointly():
    found = [(25, 20), (31, 22), (18, 21)]
    difference = mean_cpm_difference(*zip(*[map(found_in, pair) for pair in found], strict=True))
    scans = np.random.default_rng(0).multinomial(40, [1 / 40] * 40, 500)
    seeds = np.random.default_rng(0).integers(3, size=(3, 500))
    expected = []
    for number in range(500):
        drawn = [(scans[number][:a].sum() - scans[number][:b].sum()) / 40 for a, b in found]
        mean = sum(drawn) / 3
        picked = sum(drawn[seed] for seed in seeds[:, number]) / 3
        expected.append(mean + (3 / 2) ** 0.5 * (picked - mean))
    assert difference.ci95 == pytest.approx(tuple(np.quantile(expected, [0.025, 0.975])))
    assert difference.cpm == pytest.approx((5 + 9 - 3) / 3 / 40)


def test_seeds_on_other_scans_are_refused():
    fewer = froc(SCANS[:39], Marks.from_rows([]), NODULES, bootstraps=500)
    with pytest.raises(ValueError, match='of the same scans'):
        mean_cpm_difference([found_in(3), fewer], [found_in(3), fewer])


@pytest.mark.parametrize(
    'listed, differ', [([*SCANS[:39], 'other'], r"\['39', 'other'\]"), (SCANS[::-1], 'their order')]
)
def test_as_many_other_scans_are_refused(listed, differ):
    """Rows of samples are paired by the place of a scan in its list."""
    nodules = Findings.from_rows([(scan, (0, 0, 0), 10, '') for scan in listed])
    other = froc(listed, Marks.from_rows([]), nodules, bootstraps=500)
    with pytest.raises(ValueError, match=differ):
        cpm_difference(found_in(3), other)
