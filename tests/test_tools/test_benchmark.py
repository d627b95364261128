import json
from pathlib import Path

TOOL = 'analysis_tools/benchmark'


def test_rows_are_printed_and_written(run_tool, capsys):
    assert run_tool(TOOL, '--only', 'crop', '--repeat', 1, '--json', 'rows.json') == 0
    (row,) = json.loads(Path('rows.json').read_text())
    assert row['seconds'] > 0 and row['baseline_seconds'] > 0
    assert row['baseline'] == 'load the whole file'
    printed = capsys.readouterr().out
    assert 'times faster' in printed and '128^3 crop' in printed
