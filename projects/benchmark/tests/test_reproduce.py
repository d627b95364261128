import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from study.data import read_data

TOOL = Path(__file__).parents[3] / 'projects/benchmark/reproduce.py'
DATA = dict(
    name='tiny',
    scans=10,
    seed=3,
    shape=[40, 40, 40],
    spacing=[2, 2, 2],
    draws=1,
    subsets=dict(training=[0, 1, 2, 3], validation=[4], test=[5, 6, 7, 8, 9]),
    labeled=[2],
    unlabeled=[2],
)
CONFIG = """
_base_ = 'mmdet3d_medical::focalmix/retina3d_fpn_phantom.py'
train_dataloader = dict(batch_size=2, sampler=dict(batch_size=2), dataset=dict(datasets=dict(
    labeled=dict(split='splits/labeled_2.txt'), unlabeled=dict(split='splits/unlabeled_2.txt'))))
model = dict(targets=dict(views=dict(num=1)), detector=dict(
    backbone=dict(base_channels=4), neck=dict(in_channels=[4, 8, 16], out_channels=8),
    bbox_head=dict(in_channels=8, feat_channels=8), test_cfg=dict(score_thr=0.0)))
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))
train_cfg = dict(max_iters=20)
"""


@pytest.fixture
def table(tmp_path) -> Path:
    """A table of two rows that are the same, but for their names."""
    (tmp_path / 'config.py').write_text(CONFIG)
    (tmp_path / 'data.yml').write_text(yaml.safe_dump(DATA))
    data = read_data(tmp_path / 'data.yml')
    data.make(tmp_path / 'data', workers=1)
    data.record(tmp_path / 'data')
    row = dict(config=str(tmp_path / 'config.py'))
    (tmp_path / 'README.md').write_text('<!-- table -->\n<!-- end of table -->\n')
    (tmp_path / 'table.yml').write_text(
        yaml.safe_dump(
            dict(
                title='Twins',
                data='data.yml',
                scored_on='test',
                seeds=[4],
                rows=[dict(row, name='killed'), dict(row, name='whole', baseline='killed')],
            )
        )
    )
    return tmp_path / 'table.yml'


def start(table: Path) -> subprocess.Popen:
    """Reproduce a table, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, TOOL, table, '--data', table.parent / 'data', '--workers', '1'],
        cwd=table.parent,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, 'CUDA_VISIBLE_DEVICES': ''},
    )


def test_a_killed_run_goes_on_to_the_same_result(table):
    folder = table.parent / 'work_dirs/benchmark/table/killed_seed4'
    first = start(table)
    while not (folder / 'last_checkpoint').exists():
        assert first.poll() is None, first.stdout.read()
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    results = table.parent / 'results/table.jsonl'
    assert not results.exists() and not (folder / 'iter_20.pth').exists()

    second = start(table)
    printed, _ = second.communicate()
    assert second.returncode == 0, printed
    log = (folder / 'train.log').read_text()
    assert 'goes on after ' in log
    assert [log.count(f'Iter(train) [{step}/20]') for step in (' 1', '20')] == [1, 1]
    marks = [folder.with_name(f'{name}_seed4') / 'marks.csv' for name in ('killed', 'whole')]
    assert marks[0].read_bytes() == marks[1].read_bytes()
    assert marks[0].stat().st_size > 1000
    # Each of the 20 steps is timed once, however often it was taken.
    checkpoint = torch.load(folder / 'iter_20.pth', weights_only=False)
    times, _ = checkpoint['message_hub']['log_scalars']['train/time'].data
    result, other = map(json.loads, results.read_text().splitlines())
    assert (result['row'], result['marks']) == ('killed', other['marks'])
    assert len(times) == 20 and result['seconds'] == pytest.approx(times.sum(), abs=0.1)
    page = (table.parent / 'README.md').read_text()
    assert '| whole | ' in page and 'not resolved' in page
    assert table.with_suffix('.png').is_file()


def reproduce(run_tool, table: Path, *more: object) -> int:
    args = '--data', table.parent / 'data', '--device', 'cpu', '--workers', 1
    return run_tool('../projects/benchmark/reproduce', table, *args, *more)


@pytest.fixture
def beside(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOL.parent))  # as when the file is run


def test_without_time_nothing_is_run_and_shrunk_results_are_kept_apart(
    table, run_tool, beside, capsys
):
    page = (table.parent / 'README.md').read_text()
    assert reproduce(run_tool, table, '--shrink', '--minutes', 1e-9) == 0
    printed = capsys.readouterr().out
    assert 'the same command goes on with table/killed_seed4, table/whole_seed4' in printed
    assert (table.parent / 'README.md').read_text() == page  # nothing is claimed of tiny runs
    assert not (table.parent / 'results').exists()
    # A result of tiny runs is read from where they are.
    row = dict(row='killed', seed=4, failure='diverged', settings='')
    path = Path('work_dirs/benchmark/shrunk/results/table.jsonl')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(row) + '\n')
    assert reproduce(run_tool, table, '--shrink', '--report-only') == 0
    assert '| killed | failed |' in capsys.readouterr().out


def test_other_scans_are_refused_or_another_data_set(table, run_tool, beside, capfd):
    path = next((table.parent / 'data/raw').glob('subset7/*.raw'))
    path.write_bytes(path.read_bytes()[:-1] + b'x')
    assert reproduce(run_tool, table, '--minutes', 1e-9) == 2
    assert 'differ from tiny: 1 scans' in capfd.readouterr().err
    assert reproduce(run_tool, table, '--minutes', 1e-9, '--other-data') == 0
    assert 'Results say that they are of other data.' in capfd.readouterr().out


def test_a_gpu_that_is_not_there(table, run_tool, beside, capfd, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert run_tool('../projects/benchmark/reproduce', table, '--device', 'cuda') == 2
    assert 'torch finds no GPU' in capfd.readouterr().err
