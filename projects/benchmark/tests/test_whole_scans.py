"""False positives in whole scans at scores that windows give."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
from study import table as tables
from study.truth import Truth

from mmdet3d_medical.evaluation.marks import Findings
from mmdet3d_medical.utils.errors import UsageError

HEAD = 'seriesuid,coordX,coordY,coordZ,probability\n'
NODULES = [('w', (x, 0.0, 0.0), 8.0, '') for x in (0.0, 50.0, 100.0)]
LESION = dict(center=[0.0, 0.0, 0.0], diameter=10.0, label=0)
GEOMETRY = dict(
    origin=[0.0, 0.0, 0.0],
    spacing=[1.0, 1.0, 1.0],
    direction=[1.0, 0, 0, 0, 1, 0, 0, 0, 1],
    shape=[300, 300, 300],
)


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(tables.__file__).parents[1]))  # as when the file is run


@pytest.fixture
def bench(tmp_path):
    """A run that marked three nodules of a window: .9, .6 and .3."""
    (tmp_path / 'run').mkdir()
    marks = 'w,1,0,0,.9\nw,20,0,0,.7\nw,50,0,0,.6\nw,100,0,0,.3\n'
    (tmp_path / 'run/marks.csv').write_text(HEAD + marks)
    truth = Truth(['w'], Findings.from_rows(NODULES), Findings.from_rows([]), 1.0, (1.0,))
    return SimpleNamespace(
        folder=lambda run: tmp_path / 'run',
        checkpoint=lambda run: tmp_path / 'run/iter_1.pth',
        data=SimpleNamespace(truth=lambda part, root: truth),
        scored_on='test',
        root=tmp_path,
    )


@pytest.fixture
def whole(tmp_path):
    """Two scans, the first with a nodule and an excluded finding at 100."""
    ignored = dict(LESION, center=[100.0, 0.0, 0.0], ignore=True)
    instances = dict(a=[dict(LESION, ignore=False), ignored], b=[])
    scans = [
        dict(scan_id=k, volume=f'{k}.npy', geometry=GEOMETRY, annotated=True, instances=v)
        for k, v in instances.items()
    ]
    index = dict(format='mmdet3d_medical/volumes', version=1, classes=['nodule'], scans=scans)
    (tmp_path / 'whole').mkdir()
    (tmp_path / 'whole/index.json').write_text(json.dumps(index))
    return tmp_path / 'whole'


def test_false_positives_by_hand(bench, whole, tmp_path):
    """At .6 two of three nodules are found; above lie one false positive of a and one of b.

    One mark more is on the nodule, one on the excluded finding. At .9 none is left, at .3 three.
    """
    from whole_scans import false_positives

    marks = 'a,0,0,0,.8\na,100,0,0,.8\na,200,0,0,.65\na,250,0,0,.4\nb,0,0,0,.6\n'
    (tmp_path / 'run/whole_marks.csv').write_text(HEAD + marks)
    shares = [1 / 3, 2 / 3, 0.5, 1.0]
    assert false_positives(bench, None, whole, shares) == [0.0, 1.0, 1.0, 1.5]


def test_a_sensitivity_that_is_not_reached(bench, whole, tmp_path):
    from whole_scans import false_positives

    (tmp_path / 'run/marks.csv').write_text(HEAD + 'w,1,0,0,.9\n')
    (tmp_path / 'run/whole_marks.csv').write_text(HEAD + 'b,0,0,0,.95\n')
    reached, not_reached = false_positives(bench, None, whole, [0.3, 0.5])
    assert reached == 0.5 and math.isnan(not_reached)


def test_more_marks_of_a_scan_than_luna16_takes(bench, whole, tmp_path):
    from whole_scans import false_positives

    marks = ''.join(f'b,{x},0,0,.95\n' for x in range(150))
    (tmp_path / 'run/whole_marks.csv').write_text(HEAD + marks)
    assert false_positives(bench, None, whole, [1 / 3]) == [75.0]


def test_a_run_without_detector(bench, whole):
    from whole_scans import marks_of

    bench.checkpoint = lambda run: None
    with pytest.raises(UsageError, match='no trained detector: run it by reproduce.py first'):
        marks_of(bench, None, whole)
