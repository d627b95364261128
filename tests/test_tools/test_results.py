"""Results that cannot be written: told by every tool before the work, and without harm."""

import pytest

from mmdet3d_medical.evaluation.marks import Marks, read_marks, write_marks
from mmdet3d_medical.evaluation.metrics import FROCMetric

MISSING = 'missing.csv'
CONFIG = 'missing.py'
TOOLS = {
    'analysis_tools/eval_froc --json': [MISSING, '--annotations', MISSING],
    'analysis_tools/eval_froc --errors': [MISSING, '--annotations', MISSING],
    'analysis_tools/eval_froc --plot': [MISSING, '--annotations', MISSING],
    'analysis_tools/merge_marks --out': [MISSING],
    'analysis_tools/draw_detections': [MISSING, 'missing.json'],
    'analysis_tools/draw_focal_loss': [],
    'analysis_tools/draw_mixup': [CONFIG],
    'analysis_tools/contact_sheet': ['missing'],
    'analysis_tools/browse_dataset --output-dir': [CONFIG],
    'analysis_tools/diagnose_guesses --json': [CONFIG, 'missing.pth'],
    'analysis_tools/estimate_cost --json': [CONFIG],
    'model_converters/focalmix_to_plain': ['missing.pth'],
    'model_converters/inflate_2d': [CONFIG, 'missing.pth'],
    'model_converters/monai_to_mmdet3d': ['missing.pth'],
}


@pytest.mark.tried(
    'faults',
    'an output of any tool that cannot be written',
    'told before any input is read; exit status 2',
)
@pytest.mark.parametrize('name', TOOLS)
def test_outputs_are_tried_first(name, run_tool, tmp_path, capsys):
    (tmp_path / 'file').write_text('in the way')
    tool, *option = name.split()
    out = tmp_path / 'file' / 'out.png'
    assert run_tool(tool, *TOOLS[name], *option, out) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert str(tmp_path / 'file') in last and 'missing' not in last


def test_marks_are_tried_before_the_test(tmp_path):
    (tmp_path / 'marks.csv').mkdir()
    with pytest.raises(IsADirectoryError, match='marks.csv'):
        FROCMetric(out=str(tmp_path / 'marks.csv'))
    FROCMetric(out=str(tmp_path / 'new' / 'marks.csv'))
    assert list((tmp_path / 'new').iterdir()) == []


@pytest.fixture
def marks(tmp_path):
    """600 marks, and the nodule that the first of them hits."""
    rows = [(f'scan{k}', (k, 2.5, -3), 0.5 + k / 2000, 5.0, '') for k in range(600)]
    write_marks(tmp_path / 'marks.csv', Marks.from_rows(rows))
    (tmp_path / 'annotations.csv').write_text(
        'seriesuid,coordX,coordY,coordZ,diameter_mm\nscan0,0,2.5,-3,5\n'
    )
    return tmp_path / 'marks.csv'


def fails_on_a_full_disk(run_tool, capsys, tool, *args):
    """Run a tool while no file can grow beyond 4 kB; it has to say so in a line."""
    resource = pytest.importorskip('resource')
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        status = run_tool(tool, *args)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    error = capsys.readouterr().err.strip()
    assert status == 2 and error.startswith('error: ') and '\n' not in error
    return error


@pytest.mark.tried(
    'faults',
    'the disk is full when a tool writes its result',
    'one line, exit status 2, and the old result stays',
)
def test_a_full_disk_while_marks_are_written(marks, run_tool, capsys, tmp_path):
    out = tmp_path / 'merged' / 'all.csv'
    args = (marks, marks, '--out', out)
    assert run_tool('analysis_tools/merge_marks', *args) == 0
    before = out.read_bytes()
    capsys.readouterr()
    assert str(out) in fails_on_a_full_disk(run_tool, capsys, 'analysis_tools/merge_marks', *args)
    assert out.read_bytes() == before and len(read_marks(out).scores) == 600
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize('option', ['--json', '--errors', '--plot'])
def test_a_full_disk_while_scores_are_written(option, marks, run_tool, capsys, tmp_path):
    out = tmp_path / 'scores' / 'all.png'
    args = (
        marks,
        '--annotations',
        tmp_path / 'annotations.csv',
        option,
        out,
        '--bootstrap',
        10,
        '--thresholds',
        *(k / 1000 for k in range(200)),
    )
    assert run_tool('analysis_tools/eval_froc', *args) == 0
    before = out.read_bytes()
    capsys.readouterr()
    assert str(out) in fails_on_a_full_disk(run_tool, capsys, 'analysis_tools/eval_froc', *args)
    assert out.read_bytes() == before and list(out.parent.iterdir()) == [out]
