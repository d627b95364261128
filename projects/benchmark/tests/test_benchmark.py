import json
from pathlib import Path

TOOL = '../projects/benchmark/benchmark'


def rows_of(run_tool, *names) -> list[dict]:
    assert run_tool(TOOL, '--only', *names, '--repeat', 1, '--json', 'rows.json') == 0
    return json.loads(Path('rows.json').read_text())


def test_rows_are_printed_and_written(run_tool, capsys):
    (row,) = rows_of(run_tool, 'crop')
    assert row['seconds'] > 0 and row['baseline_seconds'] > 0
    assert row['baseline'] == 'load the whole file'
    megabytes = 320 * 400 * 400 * 2 / 1e6
    assert row['baseline_peak_mb'] is None or row['baseline_peak_mb'] > 0.9 * megabytes
    printed = capsys.readouterr().out
    assert 'times faster' in printed and '128^3 crop' in printed


def test_a_focalmix_step_takes_what_its_passes_take(run_tool):
    """With room for other work on the machine; measured alone it is at most 1.1."""
    (row,) = rows_of(run_tool, 'focalmix')
    assert 0.5 < row['seconds'] / row['baseline_seconds'] < 2
    assert row['baseline'].startswith('4 forward passes')
