"""The command ``mmdet3d-medical``: every tool by its name, and ``--help`` at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from mmdet3d_medical.cli.main import COMMANDS, make_parser, overview, parse

ROOT = Path(__file__).parents[2]
HEAVY = 'torch', 'mmengine', 'mmcv', 'mmdet', 'SimpleITK', 'scipy', 'matplotlib', 'numpy'
FORMER = {  # tools whose commands have other names
    'convert-luna16': 'luna16',
    'convert-dicom': 'dicom',
    'convert-volumes': 'volumes',
    'convert-node21-crops': 'node21_crops',
}


def run_python(code: str, folder: Path = ROOT) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=folder)


def test_every_tool_is_a_command_and_every_command_a_tool():
    tools = {path.stem for path in (ROOT / 'tools').rglob('*.py')}
    assert tools == {FORMER.get(command, command).replace('-', '_') for command in COMMANDS}
    for path in (ROOT / 'tools').rglob('*.py'):
        assert len(path.read_text().splitlines()) < 10, f'{path} is more than a call'


def test_help_of_no_command_imports_anything_heavy(tmp_path):
    """What takes seconds is imported when a command runs, so ``--help`` takes a tenth of one."""
    process = run_python(
        'import sys\n'
        'from mmdet3d_medical.cli.main import COMMANDS, make_parser, overview\n'
        'overview()\n'
        '[make_parser(command).format_help() for command in COMMANDS]\n'
        f'print([name for name in {HEAVY} if name in sys.modules])',
        tmp_path,
    )
    assert process.stdout == '[]\n', process.stderr


def test_scoring_does_not_import_torch(tmp_path):
    marks = tmp_path / 'marks.csv'
    marks.write_text('seriesuid,coordX,coordY,coordZ,probability\na,0,0,0,0.9\n')
    lesions = tmp_path / 'lesions.csv'
    lesions.write_text('seriesuid,coordX,coordY,coordZ,diameter_mm\na,0,0,0,8\n')
    process = run_python(
        'import sys\n'
        f'sys.argv = ["", "eval-froc", {str(marks)!r}, "--annotations", {str(lesions)!r}]\n'
        'from mmdet3d_medical.cli import main\n'
        'main()\n'
        'print("torch" in sys.modules)',
        tmp_path,
    )
    assert process.stdout.endswith('False\n'), process.stdout + process.stderr
    assert 'CPM' in process.stdout


@pytest.mark.parametrize('arguments', [['--help'], []])
def test_the_overview_names_every_command_with_its_purpose(arguments, tmp_path):
    process = subprocess.run(
        [sys.executable, '-m', 'mmdet3d_medical', *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert process.returncode == 0
    assert process.stdout == overview()
    for command in COMMANDS:
        assert f'  {command} ' in process.stdout
    assert 'convert-luna16        Convert LUNA16' in process.stdout


def test_an_unknown_command_is_told_with_those_there_are(tmp_path):
    process = run_python(
        'import sys; sys.argv = ["", "trian"]; from mmdet3d_medical.cli import main; main()',
        tmp_path,
    )
    assert process.returncode == 2
    assert process.stderr.startswith("error: there is no command 'trian'")
    assert '  train ' in process.stderr
    assert process.stdout == ''


def test_backslashes_of_examples_stay():
    """One at the end of a line joins the next one to it, if it is not escaped."""
    for command in COMMANDS:
        lines = make_parser(command).description.splitlines()
        assert all(len(line) <= 100 for line in lines), command


def test_defaults_that_parsers_repeat_are_those_of_the_library():
    from mmdet3d_medical.datasets.converters import ConvertSettings, SeriesRules
    from mmdet3d_medical.datasets.phantom import DIFFICULTIES
    from mmdet3d_medical.datasets.storage import STORAGES
    from mmdet3d_medical.structures import MERGES

    rules, dicom = SeriesRules(), parse('convert-dicom', ['x', '--out', 'y'])
    for name in ('max_thickness', 'min_slices', 'max_angle', 'prefer', 'all_series'):
        assert getattr(dicom, name) == getattr(rules, name), name
    luna16 = parse('convert-luna16', ['x', '--out', 'y'])
    settings = ConvertSettings()
    assert luna16.lung_dilation == settings.dilation
    assert (luna16.crop, luna16.margin) == (settings.crop, settings.margin)
    assert luna16.storage == settings.storage
    assert _choices('convert-luna16', 'storage') == tuple(STORAGES)
    phantom, nominal = parse('make-phantom', ['x', '--scans', '1']), DIFFICULTIES['default']
    assert (phantom.shape, phantom.spacing) == (nominal.shape, nominal.spacing)
    assert _choices('make-phantom', 'difficulty') == tuple(DIFFICULTIES)
    assert _choices('merge-marks', 'method') == MERGES


def _choices(command, name):
    action = next(a for a in make_parser(command)._actions if a.dest == name)
    return tuple(action.choices)
