"""The index that is measured is a valid one of sound scans, and every task is measured."""

import sys

import measure_index
import pytest

from mmdet3d_medical.datasets.check import check_scans
from mmdet3d_medical.datasets.index import read_index


def test_the_index_is_laid_out_as_converters_do(tmp_path):
    measure_index.write_data(tmp_path, 5, with_volumes=True)
    index = read_index(tmp_path / 'index.json')
    assert len(index['scans']) == 5 and any(scan['instances'] for scan in index['scans'])
    assert check_scans(index['scans'], tmp_path) == []


def test_every_task_is_measured_at_two_sizes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measure_index, 'measure_alone', measure_index.measure)
    monkeypatch.setattr(measure_index, 'SAMPLES', 3)
    monkeypatch.setattr(sys, 'argv', ['measure_index.py', '--scans', '600', '--volumes', '3'])
    measure_index.main()
    printed = capsys.readouterr().out
    for task in measure_index.TASKS:
        assert printed.count(f'│ {task} ') == 2, task
    assert ' 1200 ' in printed and ' 6 ' in printed


@pytest.mark.skipif(sys.platform != 'linux', reason='peaks of other systems come in blocks')
def test_the_peak_is_that_of_the_process():
    before = measure_index.peak_mb()
    content = bytearray(200_000_000)
    assert measure_index.peak_mb() > before + 100 or before > 500
    del content
