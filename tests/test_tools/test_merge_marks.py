from pathlib import Path

TOOL = 'analysis_tools/merge_marks'
HEADER = 'seriesuid,coordX,coordY,coordZ,probability,diameter_mm\n'


def test_marks_of_folds_become_one_file(run_tool, capsys):
    Path('a.csv').write_text(f'{HEADER}00783,1,2,3,0.8,4\n')
    Path('b.csv').write_text(f'{HEADER}00783,1,2,3,0.6,4\n')
    assert run_tool(TOOL, 'a.csv', 'b.csv', '--out', 'new/merged.csv') == 0
    assert Path('new/merged.csv').read_text().splitlines()[1] == (
        '00783,1.0000,2.0000,3.0000,0.7,4.0000'
    )
    assert '2 marks of 2 models merged to 1' in capsys.readouterr().out
    Path('c.csv').write_text('seriesuid,coordX,coordY,coordZ,probability\nx,1,2,3,0.6\n')
    assert run_tool(TOOL, 'a.csv', 'c.csv', '--out', 'merged.csv') == 2
    assert 'expected the column diameter_mm' in capsys.readouterr().err
