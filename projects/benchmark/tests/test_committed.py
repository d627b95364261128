"""The tables of the documentation: they can be run, and show what their results give."""

from argparse import ArgumentParser
from pathlib import Path

import pytest
from study.commands import train_command
from study.data import read_data
from study.report import compute, fill, markdown
from study.results import Results
from study.rows import score_rows
from study.runs import Bench
from study.table import read_table, runs_of

from mmdet3d_medical.cli.arguments import add_config_options

from .conftest import ROOT, TOOLS

FOLDERS = [ROOT / 'projects/benchmark' / name for name in ('phantoms', 'nodules')]
TABLES = [
    path for folder in FOLDERS for path in sorted(folder.glob('*.yml')) if path.name != 'data.yml'
]
every_table = pytest.mark.parametrize('path', TABLES, ids=lambda path: path.stem)


@every_table
def test_the_page_shows_what_the_results_give(path, tmp_path):
    table = read_table(path)
    results = Results(path.parent / 'results')
    text = markdown(table, score_rows(table, results))
    assert f'({table.name}.png)' not in text or path.with_suffix('.png').is_file()
    page = tmp_path / 'README.md'
    page.write_text((path.parent / 'README.md').read_text())
    before = page.read_text()
    assert fill(page, table.name, text)
    assert fill(page, 'compute', compute(results))
    assert page.read_text() == before, f'run projects/benchmark/reproduce.py {path} --report-only'


@every_table
def test_results_are_at_the_rates_of_the_data(path):
    table = read_table(path)
    rates = {result.rates for result in _scored(table, Results(path.parent / 'results'))}
    assert rates <= {read_data(table.data).rates}


def _scored(table, results):
    rows = score_rows(table, results).values()
    return [score for row in rows for score in row.scored.values()]


@every_table
def test_its_lists_are_made(path, tmp_path):
    table = read_table(path)
    data = read_data(table.data)
    bench = Bench(TOOLS, data, tmp_path, table.scored_on, tmp_path / 'work', Results(tmp_path))
    made = {
        'train.txt',
        *(f'labeled_{size}.txt' for size in data.labeled),
        *(f'unlabeled_{size}.txt' for size in data.unlabeled),
    }
    for run in runs_of(table)[: len(table.rows)]:
        options = dict(
            option.split('=', 1)
            for option in train_command(bench, run)
            if option.startswith('train_dataloader')
        )
        lists = [Path(value).name for key, value in options.items() if key.endswith('.split')]
        assert lists and set(lists) <= made


@every_table
def test_the_training_reads_its_options_as_they_are(path, tmp_path):
    """As values, not as text that looks alike."""
    table = read_table(path)
    data = read_data(table.data)
    bench = Bench(TOOLS, data, tmp_path, table.scored_on, tmp_path / 'work', Results(tmp_path))
    parser = ArgumentParser()
    add_config_options(parser)
    for run in runs_of(table, seeds=table.seeds[:1]):
        command = train_command(bench, run)
        read = parser.parse_args(command[command.index('--cfg-options') :]).cfg_options
        asked = bench.options(run.setting)
        of_data = ('.split', '.ann_file')  # are replaced by paths
        own = {key: value for key, value in asked.items() if not key.endswith(of_data)}
        assert {key: read[key] for key in own} == own


def test_results_are_small():
    files = [file for folder in FOLDERS for file in folder.rglob('*') if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 2e6
