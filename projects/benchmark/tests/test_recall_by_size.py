"""Sensitivity by size from the marks of runs."""

from pathlib import Path

import pytest
import yaml
from study import table as tables
from study.table import Run, read_table
from study.truth import Truth

from mmdet3d_medical.evaluation.marks import Findings
from mmdet3d_medical.utils.errors import UsageError

ROWS = [dict(name=name, config='a.py') for name in ('one', 'two')]
HEAD = 'seriesuid,coordX,coordY,coordZ,probability\n'


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run 0 of row `one` of a table."""
    monkeypatch.syspath_prepend(str(Path(tables.__file__).parents[1]))  # as when the file is run
    content = dict(title='t', data='data.yml', scored_on='test', seeds=[0, 1], rows=ROWS)
    (tmp_path / 'table.yml').write_text(yaml.safe_dump(content))
    (tmp_path / 'data.yml').touch()
    return Run(read_table(tmp_path / 'table.yml').rows['one'].setting, 0)


@pytest.fixture
def truth():
    """Two nodules of 5 mm and one of 20 in one scan, at one false positive for each scan."""
    rows = [('a', (x, 0.0, 0.0), size, '') for x, size in ((0.0, 5.0), (50.0, 5.0), (100.0, 20.0))]
    return Truth(['a'], Findings.from_rows(rows), Findings.from_rows([]), 1.0, (1.0,))


def test_sizes_by_hand(run, truth, tmp_path):
    """One of two small nodules is marked, the large one after two false positives alone."""
    from recall_by_size import sizes_of

    folder = tmp_path / 'runs' / run.name
    folder.mkdir(parents=True)
    marks = 'a,1,0,0,.9\na,200,0,0,.8\na,300,0,0,.7\na,100,0,0,.6\n'
    (folder / 'marks.csv').write_text(HEAD + marks)
    assert sizes_of(run, truth, tmp_path / 'runs') == {'3-6': (2, 0.5), '>15': (1, 0.0)}


def test_a_run_that_is_not_there(run, truth, tmp_path):
    from recall_by_size import sizes_of

    with pytest.raises(UsageError, match=r'table/one_seed0.marks.csv is not there: run .* first'):
        sizes_of(run, truth, tmp_path)
