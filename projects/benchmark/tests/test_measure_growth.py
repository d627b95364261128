"""Work of two sizes side by side."""

from pathlib import Path
from runpy import run_path

import pytest

FOLDER = Path(__file__).parents[1]
TOOL = '../projects/benchmark/measure_growth'


@pytest.fixture(autouse=True)
def beside_benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))  # as when the file is run


def test_all_that_grows_is_measured(run_tool, capfd):
    assert run_tool(TOOL, '--repeat', 1, '--shrink', 16) == 0
    told = capfd.readouterr().out
    assert all(name in told for name in ('FROC', 'NMS', 'targets', 'search'))


def test_twice_the_size_is_twice_the_work():
    tool = run_path(str(FOLDER / 'measure_growth.py'))
    small, large = (tool['targets_of_anchors'](depth)() for depth in (16, 32))
    assert large.cls.shape[1] == 2 * small.cls.shape[1]
    results = [tool['froc_of_scans'](scans)() for scans in (20, 40)]
    assert [result.scans for result in results] == [20, 40]
    assert [result.tp + result.fn for result in results] == [20, 40]
