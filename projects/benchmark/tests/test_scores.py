import json

import numpy as np
import pytest
from study.data import Truth
from study.scores import Score, score_marks

from mmdet3d_medical.evaluation.functional import froc
from mmdet3d_medical.evaluation.marks import Findings, Marks

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
