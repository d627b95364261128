import numpy as np
import pytest

from mmdet3d_medical.benchmark.data import Truth
from mmdet3d_medical.benchmark.scores import influential_marks, score_marks
from mmdet3d_medical.evaluation.marks import Findings, Marks

SCANS = [f's{number}' for number in range(30)]


@pytest.fixture
def truth():
    nodules = Findings.from_rows([(scan, (0, 0, 0), 10, '') for scan in SCANS])
    excluded = Findings.from_rows([(scan, (50, 0, 0), 10, '') for scan in SCANS])
    return Truth(SCANS, nodules, excluded)


@pytest.fixture
def marks():
    """In each scan 60 false marks, 20 on an excluded finding, and a better one on the nodule."""
    rng = np.random.default_rng(0)
    places = [((100.123456, 0, 0), 0.0)] * 60 + [((50, 0, 0), 0.0)] * 20 + [((0, 0, 0), 0.7)]
    return Marks.from_rows((scan, place, rng.uniform(least, 1), 5.0, '')
                           for scan in SCANS for place, least in places)


def test_few_marks_are_kept_and_the_scores_stay(marks, truth):
    kept = influential_marks(marks, truth)
    false = kept.centers[:, 0] > 60
    assert false.sum() == 16 * 30 + 1
    least = kept.scores[false].min()
    assert len(kept.scores) == (marks.scores >= least - 1e-6).sum() < len(marks.scores) / 2
    whole, rest = (score_marks(some, truth, bootstraps=200) for some in (marks, kept))
    assert rest.sensitivity == pytest.approx(whole.sensitivity, abs=1e-6)
    assert rest.samples == pytest.approx(whole.samples, abs=1e-6)
    assert 0.05 < whole.cpm < 0.5


def test_positions_and_scores_are_short(marks, truth):
    kept = influential_marks(marks, truth)
    assert kept.centers[0].tolist() == [100.12, 0, 0]
    assert all(float(f'{score:.6g}') == score for score in kept.scores)
    assert np.isnan(kept.diameters).all()


def test_all_of_few_marks_are_kept(truth):
    few = Marks.from_rows([('s1', (0, 0, 0), 1e-9, 5, ''), ('s2', (99, 0, 0), 0.5, 5, '')])
    assert influential_marks(few, truth).scan_ids == ('s1', 's2')
    none = Marks.from_rows([])
    assert influential_marks(none, truth).scan_ids == ()
