"""LUNA16's rules, first one at a time with hand-counted cases, then against a literal program."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet3d_medical.evaluation.functional import FP_RATES, froc
from mmdet3d_medical.evaluation.functional.froc import bootstrap, match_marks
from mmdet3d_medical.evaluation.marks import Findings, Marks


def marks_of(*rows):
    """Marks from (scan, x, score): all on the x axis."""
    return Marks.from_rows((scan, (x, 0, 0), score, 5.0, '') for scan, x, score in rows)


def findings_of(*rows):
    """Findings from (scan, x, diameter)."""
    return Findings.from_rows((scan, (x, 0, 0), diameter, '') for scan, x, diameter in rows)


def counts(*args, **kwargs):
    result = froc(*args, **kwargs)
    return result.tp, result.fp, result.fn


def test_a_mark_on_the_sphere_is_outside():
    nodule = findings_of(('a', 0, 10))
    assert counts(['a'], marks_of(('a', 4.99, 1)), nodule) == (1, 0, 0)
    assert counts(['a'], marks_of(('a', 5.0, 1)), nodule) == (0, 1, 1)


def test_marks_of_another_scan_do_not_hit():
    assert counts(['a', 'b'], marks_of(('b', 0, 1)), findings_of(('a', 0, 10))) == (0, 1, 1)


def test_the_best_of_several_marks_on_one_nodule_counts_and_the_rest_are_ignored():
    marks = marks_of(('a', 0, 0.2), ('a', 1, 0.9), ('a', 2, 0.5), ('a', 50, 0.7))
    result = froc(['a'], marks, findings_of(('a', 0, 10)), fp_rates=(0.0, 1.0))
    assert (result.tp, result.fp, result.fn) == (1, 1, 0)
    # Found with 0.9, before the false positive of 0.7.
    assert result.sensitivity.tolist() == [1, 1]


def test_a_mark_inside_two_nodules_counts_for_both():
    assert counts(['a'], marks_of(('a', 3, 1)), findings_of(('a', 0, 10), ('a', 6, 10))) == (
        2,
        0,
        0,
    )


def test_a_mark_in_an_excluded_finding_is_dropped():
    marks = marks_of(('a', 20, 0.9), ('a', 40, 0.8))
    args = ['a'], marks, findings_of(('a', 0, 10))
    assert counts(*args, findings_of(('a', 20, 4))) == (0, 1, 1)
    assert counts(*args) == (0, 2, 1)


def test_nodules_come_before_excluded_findings():
    # Every nodule center lies in an excluded finding too: dropping first would find nothing.
    rng = np.random.default_rng(0)
    rows = [(f'{i % 30:05}', x, 8.0) for i, x in enumerate(rng.uniform(0, 1e4, 60))]
    nodules = findings_of(*rows)
    excluded = findings_of(*((scan, x + 1, -1) for scan, x, _ in rows))
    marks = marks_of(*((scan, x, 0.5) for scan, x, _ in rows))
    result = froc(sorted({row[0] for row in rows}), marks, nodules, excluded)
    assert result.cpm == 1
    assert (result.tp, result.fp, result.fn) == (60, 0, 0)
    without_nodules = froc(['00000'], marks, findings_of(), excluded)
    assert without_nodules.fp == 0  # which shows that the excluded findings do hold the marks


def test_a_negative_diameter_counts_as_10_mm():
    nodules, excluded = findings_of(('a', 90, 5)), findings_of(('a', 0, -1))
    assert counts(['a'], marks_of(('a', 4.9, 1)), nodules, excluded) == (0, 0, 1)
    assert counts(['a'], marks_of(('a', 5.0, 1)), nodules, excluded) == (0, 1, 1)


def test_marks_must_score_strictly_above_the_first_one_too_many():
    far = [('a', 100 + i, score) for i, score in enumerate([0.9, 0.8, 0.5, 0.5, 0.1])]
    args = ['a'], marks_of(*far), findings_of(('a', 0, 10))
    assert counts(*args, max_marks=5) == (0, 5, 1)
    assert counts(*args, max_marks=4) == (0, 4, 1)  # 0.1 is one too many
    assert counts(*args, max_marks=3) == (0, 2, 1)  # the second 0.5 is, so the first goes too


def test_the_limit_comes_before_matching():
    marks = marks_of(('a', 100, 0.9), ('a', 200, 0.8), ('a', 0, 0.3))
    assert counts(['a'], marks, findings_of(('a', 0, 10)), max_marks=2) == (0, 2, 1)


def test_the_limit_holds_in_each_scan_by_itself():
    marks = marks_of(*((scan, 100 + i, 0.9 - i / 1000) for scan in 'ab' for i in range(101)))
    assert counts(['a', 'b'], marks, findings_of(('a', 0, 10))) == (0, 200, 1)


def test_curve_by_hand():
    # Two scans, three nodules. Descending: tp .9, fp .8, fp .7, tp .6; the third nodule is missed.
    marks = marks_of(('a', 0, 0.9), ('a', 50, 0.8), ('b', 50, 0.7), ('b', 0, 0.6))
    nodules = findings_of(('a', 0, 10), ('b', 0, 10), ('b', 90, 10))
    result = froc(['a', 'b'], marks, nodules)
    expected = [[0, 0, 0.5, 1, 1], [0, 1 / 3, 1 / 3, 1 / 3, 2 / 3]]
    np.testing.assert_allclose(result.curve, expected)
    # At 1 false positive per scan, met exactly, the highest sensitivity there.
    thirds = [1, 1, 1, 2, 2, 2, 2]
    np.testing.assert_allclose(result.sensitivity, np.array(thirds) / 3)
    assert result.cpm == pytest.approx(11 / 21)


def test_interpolation_is_linear_between_operating_points():
    # One tie: a step from (0, 0) straight to (2, 1).
    marks = marks_of(('a', 0, 0.5), ('a', 50, 0.5), ('a', 60, 0.5))
    result = froc(['a'], marks, findings_of(('a', 0, 10)))
    np.testing.assert_allclose(result.sensitivity, [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 1, 1])


def test_scans_without_marks_count_in_the_rate_and_unlisted_ones_do_not():
    marks = marks_of(('a', 0, 0.5), ('a', 50, 0.9), ('elsewhere', 0, 1.0))
    nodules = findings_of(('a', 0, 10), ('elsewhere', 0, 10))
    result = froc(['a', 'b', 'c', 'd'], marks, nodules, fp_rates=(0.125, 0.25))
    assert (result.tp, result.fp, result.fn, result.scans) == (1, 1, 0, 4)
    assert result.sensitivity.tolist() == [0, 1]
    assert froc(['a', 'b', 'b'], marks, nodules).scans == 2


def test_no_marks_and_no_nodules():
    none = froc(['a'], marks_of(), findings_of(('a', 0, 10)), bootstraps=5)
    assert none.cpm == 0 and (none.tp, none.fp, none.fn) == (0, 0, 1)
    assert math.isnan(froc(['a'], marks_of(('a', 0, 1)), findings_of()).cpm)
    with pytest.raises(ValueError, match='at least one scan'):
        froc([], marks_of(), findings_of())


def random_case(seed, scans=6):
    """Crowded scans whose scores tie often."""
    rng = np.random.default_rng(seed)
    names = [f'{i:03}' for i in range(scans)]

    def draw(n):
        return zip(rng.choice(names, n), rng.uniform(0, 30, (n, 3)), strict=True)

    marks = [(s, xyz, rng.integers(0, 12) / 12, 5.0, '') for s, xyz in draw(rng.integers(0, 60))]
    nodules = [(s, xyz, rng.uniform(3, 20), '') for s, xyz in draw(rng.integers(1, 12))]
    excluded = [(s, xyz, rng.choice([-1, 15]), '') for s, xyz in draw(rng.integers(0, 12))]
    return names, marks, nodules, excluded


def literal_froc(scans, marks, nodules, excluded, max_marks):
    """The rules written out one mark at a time, with lists only."""
    entries, missed = [], 0
    for scan in scans:
        mine = sorted((m for m in marks if m[0] == scan), key=lambda m: -m[2])
        if len(mine) > max_marks:
            mine = [m for m in mine if m[2] > mine[max_marks][2]]
        waiting = list(range(len(mine)))
        for _, center, diameter, _ in [n for n in nodules if n[0] == scan]:
            hits = [i for i, m in enumerate(mine) if inside(m[1], center, diameter)]
            waiting = [i for i in waiting if i not in hits]
            if hits:
                entries.append((max(mine[i][2] for i in hits), True))
            else:
                missed += 1
        for _, center, diameter, _ in [e for e in excluded if e[0] == scan]:
            waiting = [i for i in waiting if not inside(mine[i][1], center, diameter)]
        entries += [(mine[i][2], False) for i in waiting]
    tp = sum(hit for _, hit in entries)
    points = [(0.0, 0.0)]
    for threshold in sorted({score for score, _ in entries}, reverse=True):
        chosen = [hit for score, hit in entries if score >= threshold]
        points.append((chosen.count(False) / len(scans), chosen.count(True) / (tp + missed)))
    values = [interpolate(points, rate) for rate in FP_RATES]
    return tp, len(entries) - tp, missed, values


def inside(point, center, diameter):
    radius = (10 if diameter < 0 else diameter) / 2
    return sum((p - c) ** 2 for p, c in zip(point, center, strict=True)) < radius**2


def interpolate(points, rate):
    before = [p for p in points if p[0] <= rate][-1]
    after = [p for p in points if p[0] > rate]
    if not after:
        return before[1]
    slope = (after[0][1] - before[1]) / (after[0][0] - before[0])
    return before[1] + slope * (rate - before[0])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), max_marks=st.sampled_from([2, 5, 100]))
def test_equals_the_literal_program(seed, max_marks):
    scans, marks, nodules, excluded = random_case(seed)
    tp, fp, fn, values = literal_froc(scans, marks, nodules, excluded, max_marks)
    tables = Marks.from_rows(marks), Findings.from_rows(nodules), Findings.from_rows(excluded)
    result = froc(scans, *tables, max_marks=max_marks)
    assert (result.tp, result.fp, result.fn) == (tp, fp, fn)
    np.testing.assert_allclose(result.sensitivity, values)


def test_equals_the_literal_program_on_a_data_set_of_many_scans():
    # 200 scans, 1 to 150 marks in each, so that the limit of 100 acts; every fourth mark is near
    # the surface of a nodule or of an excluded finding, which lie in each other.
    rng = np.random.default_rng(0)
    scans = [f'{number:05}' for number in range(200)]
    nodules = [
        (s, rng.uniform(-150, 150, 3), rng.uniform(3, 32), '') for s in rng.choice(scans, 260)
    ]
    excluded = [(s, c + rng.normal(0, 2, 3), d, '') for s, c, d, _ in nodules for d in (-1, 12.0)]
    excluded += [(s, rng.uniform(-150, 150, 3), -1, '') for s in rng.choice(scans, 4000)]
    findings = {s: [f for f in (*nodules, *excluded) if f[0] == s] for s in scans}
    marks = []
    for scan in scans:
        for _ in range(rng.integers(1, 150)):
            center = rng.uniform(-150, 150, 3)
            if findings[scan] and rng.random() < 0.25:
                _, middle, diameter, _ = findings[scan][rng.integers(len(findings[scan]))]
                step = rng.normal(size=3)
                radius = (10 if diameter < 0 else diameter) / 2
                center = middle + step / np.linalg.norm(step) * radius * rng.uniform(0.8, 1.2)
            marks.append((scan, center, rng.integers(0, 300) / 300, 5.0, ''))
    tp, fp, fn, values = literal_froc(scans, marks, nodules, excluded, 100)
    assert min(tp, fn) > 20 and fp > 8 * len(scans)
    tables = Marks.from_rows(marks), Findings.from_rows(nodules), Findings.from_rows(excluded)
    result = froc(scans, *tables)
    assert (result.tp, result.fp, result.fn) == (tp, fp, fn)
    np.testing.assert_allclose(result.sensitivity, values, rtol=0, atol=1e-12)


def test_bootstrap_equals_scoring_the_resampled_scans_as_new_scans():
    scans, marks, nodules, excluded = random_case(3)
    tables = Marks.from_rows(marks), Findings.from_rows(nodules), Findings.from_rows(excluded)
    samples = bootstrap(match_marks(scans, *tables), FP_RATES, 20, seed=7)
    draws = np.random.default_rng(7).multinomial(len(scans), [1 / len(scans)] * len(scans), 20)
    for sample, draw in zip(samples, draws, strict=True):
        copies = [
            (s, f'{s}#{k}') for s, times in zip(scans, draw, strict=True) for k in range(times)
        ]
        resampled = [
            [(new, *row[1:]) for old, new in copies for row in rows if row[0] == old]
            for rows in (marks, nodules, excluded)
        ]
        *_, values = literal_froc([new for _, new in copies], *resampled, 100)
        np.testing.assert_allclose(sample, values)


def test_interval_is_seeded_and_its_width_is_the_binomial_one():
    # One nodule a scan, found in 70 of 100 scans: a bootstrap's sensitivity is binomial,
    # with standard deviation sqrt(.7 * .3 / 100) = .0458.
    scans = [f'{i}' for i in range(100)]
    marks = marks_of(*((scan, 0, 0.5) for scan in scans[:70]))
    nodules = findings_of(*((scan, 0, 10) for scan in scans))
    results = [froc(scans, marks, nodules, bootstraps=2000, seed=seed) for seed in (0, 0, 1)]
    low, high = results[0].to_dict()['ci95']['cpm']
    assert low == pytest.approx(0.7 - 1.96 * 0.0458, abs=0.011)
    assert high == pytest.approx(0.7 + 1.96 * 0.0458, abs=0.011)
    assert results[0].to_dict() == results[1].to_dict()
    assert not np.array_equal(results[0].samples, results[2].samples)


def test_bootstrap_samples_without_nodules_are_left_out():
    # One of two scans has the nodule: a quarter of the samples has none.
    nodules = findings_of(('a', 0, 10))
    result = froc(['a', 'b'], marks_of(('a', 0, 1)), nodules, bootstraps=100)
    assert np.isnan(result.samples).any()
    assert result.to_dict()['ci95']['cpm'] == [1, 1]


def test_dictionary_has_the_documented_fields():
    marks, nodules = marks_of(('a', 0, 1)), findings_of(('a', 0, 10), ('b', 0, 9))
    scores = froc(['a', 'b'], marks, nodules, bootstraps=10).to_dict()
    rates = ['0.125', '0.25', '0.5', '1', '2', '4', '8']
    assert list(scores['sensitivity']) == rates
    assert list(scores['ci95']) == ['cpm', *rates]
    assert scores['nodules'] == 2 and scores['cpm'] == 0.5
    assert froc(['a'], marks, nodules).to_dict()['ci95'] == {}
