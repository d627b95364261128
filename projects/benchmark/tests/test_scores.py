import json

import numpy as np
import pytest
from study.data import Truth
from study.scores import Score, score_marks, score_name
from study.truth import read_rates

from mmdet3d_medical.evaluation.functional import FP_RATES, froc
from mmdet3d_medical.evaluation.marks import Findings, Marks
from mmdet3d_medical.utils.errors import UsageError

SCANS = [f's{number}' for number in range(30)]


@pytest.fixture
def truth():
    nodules = Findings.from_rows([(scan, (0, 0, 0), 10, '') for scan in SCANS])
    return Truth(SCANS, nodules, Findings.from_rows([]))


@pytest.fixture
def marks():
    """In each scan 60 false marks and, in most, a better one on the nodule."""
    rng = np.random.default_rng(0)
    places = [((100, 0, 0), 0.0)] * 60 + [((0, 0, 0), 0.7)]
    return Marks.from_rows(
        (scan, place, rng.uniform(least, 1), 5.0, '') for scan in SCANS for place, least in places
    )


def test_what_is_kept_is_what_the_marks_give(marks, truth):
    """Through JSON; a sample is the mean of its seven sensitivities."""
    score = score_marks(marks, truth, bootstraps=200)
    kept = Score.from_dict(json.loads(json.dumps(score.to_dict())))
    whole = froc(SCANS, marks, truth.nodules, bootstraps=200)
    assert (kept.cpm, kept.scans, kept.nodules) == (whole.cpm, 30, 30)
    assert kept.sensitivity.tolist() == whole.sensitivity.tolist()
    assert kept.samples == pytest.approx(whole.samples.mean(axis=1), abs=1e-5)
    assert 0.05 < kept.cpm < 0.5 and kept.samples.std() > 0.01


def test_no_marks_and_all_nodules(truth):
    none = score_marks(Marks.from_rows([]), truth, bootstraps=5)
    assert Score.from_dict(none.to_dict()).samples.tolist() == [0] * 5
    every = Marks.from_rows([(scan, (0, 0, 0), 0.5, 5, '') for scan in SCANS])
    assert Score.from_dict(score_marks(every, truth, 5).to_dict()).samples.tolist() == [1] * 5


def test_other_rates_than_those_of_luna16():
    """Two scans of half a unit, four nodules, marks in order: hit, false, hit, false, hit.

    At one false positive per unit, half a one a scan, two of four are found, at two three of four.
    """
    places = [('a', 0), ('b', 50), ('a', 100), ('b', 200)]
    nodules = Findings.from_rows([(scan, (x, 0, 0), 10, '') for scan, x in places])
    truth = Truth(['a', 'b'], nodules, Findings.from_rows([]), share=0.5, rates=(1.0, 2.0))
    order = [('a', 0), ('a', 500), ('b', 50), ('b', 500), ('a', 100)]
    marks = Marks.from_rows(
        (scan, (x, 0, 0), 0.9 - 0.1 * number, 5.0, '') for number, (scan, x) in enumerate(order)
    )
    score = score_marks(marks, truth, bootstraps=50)
    assert score.sensitivity.tolist() == [0.5, 0.75] and score.cpm == 0.625
    kept = Score.from_dict(json.loads(json.dumps(score.to_dict())))
    assert (kept.rates, kept.sensitivity.tolist()) == ((1.0, 2.0), [0.5, 0.75])
    whole = froc(['a', 'b'], marks, nodules, fp_rates=[0.5, 1.0], bootstraps=50)
    assert kept.samples == pytest.approx(whole.samples.mean(axis=1), abs=1e-5)


def test_rates_are_kept_in_order():
    """Ten comes behind two, though not in the alphabet."""
    score = Score(0.4, np.array([0.3, 0.5]), np.empty(0), 1, 10, rates=(2.0, 10.0))
    kept = Score.from_dict(json.loads(json.dumps(score.to_dict(), sort_keys=True)))
    assert (kept.rates, kept.sensitivity.tolist()) == ((2.0, 10.0), [0.3, 0.5])


def test_only_luna16_s_rates_give_the_cpm():
    assert score_name(FP_RATES) == 'CPM'
    assert score_name((1.0, 2.0, 8.0)) == 'sensitivity at 1 to 8'


@pytest.mark.parametrize('rates', [[], [2, 1], [1, 1], [0, 1], ['1'], 4])
def test_rates_must_rise(rates):
    with pytest.raises(UsageError, match='data.yml: rates must be positive, rising numbers'):
        read_rates(dict(rates=rates), 'data.yml')
    assert read_rates({}, '') == FP_RATES and read_rates(dict(rates=[1, 2]), '') == (1.0, 2.0)
