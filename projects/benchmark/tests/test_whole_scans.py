"""False positives in whole scans at scores that windows give."""

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
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
def as_a_script(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(tables.__file__).parents[1]))


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A run that marked three nodules of a window, .9, .6 and .3, and finds `whole` elsewhere."""
    import whole_scans

    (tmp_path / 'run').mkdir()
    marks = 'w,1,0,0,.9\nw,20,0,0,.7\nw,50,0,0,.6\nw,100,0,0,.3\n'
    (tmp_path / 'run/marks.csv').write_text(HEAD + marks)
    truth = Truth(['w'], Findings.from_rows(NODULES), Findings.from_rows([]), 1.0, (1.0,))
    found = SimpleNamespace(
        folder=lambda run: tmp_path / 'run',
        checkpoint=lambda run: tmp_path / 'run/iter_1.pth',
        data=SimpleNamespace(truth=lambda part, root: truth),
        scored_on='test',
        root=tmp_path,
        whole='',
        status=0,
    )

    def command(bench, run, root, out):
        write = f'open({str(out)!r}, "w").write({HEAD + found.whole!r}); exit({found.status})'
        return [sys.executable, '-c', write]

    monkeypatch.setattr(whole_scans, 'other_scans_command', command)
    return found


@pytest.fixture
def scans(tmp_path):
    """Two scans, the first with a nodule and an excluded finding, and one without annotations."""
    ignored = dict(LESION, center=[100.0, 0.0, 0.0], ignore=True)
    instances = dict(a=[dict(LESION, ignore=False), ignored], b=[], c=[])
    scans = [
        dict(scan_id=k, volume=f'{k}.npy', geometry=GEOMETRY, annotated=k != 'c', instances=v)
        for k, v in instances.items()
    ]
    index = dict(format='mmdet3d_medical/volumes', version=1, classes=['nodule'], scans=scans)
    (tmp_path / 'whole').mkdir()
    (tmp_path / 'whole/index.json').write_text(json.dumps(index))
    return tmp_path / 'whole'


def test_false_positives_by_hand(bench, scans):
    """At .6 two of three nodules are found; above lie one false positive of a and one of b.

    One mark more is on the nodule, one on the excluded finding, one in the scan that nobody read.
    At .9 no false positive is left, at .3 three.
    """
    from whole_scans import false_positives

    bench.whole = 'a,0,0,0,.8\na,100,0,0,.8\na,200,0,0,.65\na,250,0,0,.4\nb,0,0,0,.6\nc,0,0,0,1\n'
    shares = [1 / 3, 2 / 3, 0.5, 1.0]
    assert false_positives(bench, None, scans, shares) == [0.0, 1.0, 1.0, 1.5]


def test_a_sensitivity_that_is_not_reached(bench, scans, tmp_path):
    from whole_scans import false_positives

    (tmp_path / 'run/marks.csv').write_text(HEAD + 'w,1,0,0,.9\n')
    bench.whole = 'b,0,0,0,.95\n'
    reached, not_reached = false_positives(bench, None, scans, [0.3, 0.5])
    assert reached == 0.5 and math.isnan(not_reached)


def test_more_marks_of_a_scan_than_luna16_takes(bench, scans):
    from whole_scans import false_positives

    bench.whole = ''.join(f'b,{x},0,0,.95\n' for x in range(150))
    assert false_positives(bench, None, scans, [1 / 3]) == [75.0]


def test_a_test_that_fails_is_told(bench, scans):
    from whole_scans import false_positives

    bench.status = 1
    with pytest.raises(UsageError, match='a_seed0 could not be tested in .*whole, see .*.log'):
        false_positives(bench, SimpleNamespace(name='a_seed0'), scans, [0.5])


@pytest.mark.parametrize('lacking', ['checkpoint', 'marks'])
def test_runs_are_looked_at_before_any_work(lacking, bench, tmp_path):
    from whole_scans import check_trained

    check_trained(bench, [None])
    if lacking == 'checkpoint':
        bench.checkpoint = lambda run: None
    else:
        (tmp_path / 'run/marks.csv').unlink()
    with pytest.raises(UsageError, match='run: not trained or not tested: run it by reproduce.py'):
        check_trained(bench, [None])


@pytest.mark.parametrize('wrong', ['0', '70', '-0.5', 'nan', 'much'])
def test_sensitivities_that_are_none(wrong, monkeypatch, capsys):
    import whole_scans

    monkeypatch.setattr(sys, 'argv', ['whole_scans.py', 't.yml', 'dir', '--sensitivity', wrong])
    with pytest.raises(SystemExit):
        whole_scans.parse_args()
    assert '--sensitivity' in capsys.readouterr().err


def test_scores_below_which_marks_were_cut_off(bench, scans):
    """A thousand marks of .5 and above were kept in b, so nothing is known of .3."""
    from whole_scans import false_positives

    bench.whole = 'a,200,0,0,.4\n' + 'b,0,0,0,.5\n' * 1000
    known, unknown = false_positives(bench, None, scans, [2 / 3, 1.0])
    assert known == 0.0 and math.isnan(unknown)


def test_rows_that_share_runs_are_searched_once(monkeypatch, tmp_path, capsys):
    import whole_scans

    same = dict(name='again', same_as='one', baseline='one')
    rows = [dict(name='one', config='a.py'), same, dict(name='two', config='b.py')]
    content = dict(title='t', data='data.yml', scored_on='test', seeds=[0, 1], rows=rows)
    (tmp_path / 'table.yml').write_text(yaml.safe_dump(content))
    args = ['whole_scans.py', str(tmp_path / 'table.yml'), 'dir', '--sensitivity', '0.5']
    monkeypatch.setattr(sys, 'argv', args)
    monkeypatch.setattr(whole_scans, 'read_data', lambda path: SimpleNamespace(default_root='.'))
    found = {('one', 0): 1.0, ('one', 1): 2.0, ('two', 0): 3.0, ('two', 1): math.nan}
    by_run = lambda bench, run, root, shares: [found.pop((run.setting.name, run.seed))]  # noqa: E731
    monkeypatch.setattr(whole_scans, 'false_positives', by_run)
    monkeypatch.setattr(whole_scans, 'check_trained', lambda bench, runs: None)
    whole_scans.main()
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.split(' | ')[1:] for line in lines[:3]] == [
        ['0', '1.0 |'],
        ['1', '2.0 |'],
        ['mean', '1.5 |'],
    ]
    assert lines[-1] == '| two | mean | nan |' and not found
