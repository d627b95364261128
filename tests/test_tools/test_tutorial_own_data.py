"""The tutorial for own data, run command by command on tiny scans."""

import csv
import json
import re
import shlex
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import SimpleITK as sitk

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs/tutorials/own_data.md').read_text()
TOOLS = {
    'convert-volumes': 'dataset_converters/volumes',
    'make-splits': 'dataset_converters/make_splits',
    'check-dataset': 'analysis_tools/check_dataset',
    'train': 'train',
    'test': 'test',
    'eval-froc': 'analysis_tools/eval_froc',
    'draw-detections': 'analysis_tools/draw_detections',
    'cross-validate': 'cross_validate',
}
STEPS = '2'  # in the place of 10000
SCANS, NEW_SCANS = 7, 2
SIDE = 40  # voxels


def blocks(language: str) -> list[str]:
    return re.findall(rf'^```{language}\n(.*?)^```$', PAGE, re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    """Subcommand and arguments of each command of the page."""
    lines = ''.join(blocks('bash')).replace('\\\n', ' ').splitlines()
    found = [shlex.split(line, comments=True) for line in lines]
    assert all(words[0] == 'mmdet3d-medical' for words in found)
    return [words[1:] for words in found]


def make_small(command: list[str]) -> list[str]:
    """The command with fewer steps and folds, and a narrow detector."""
    name, *words = [word.replace('10000', STEPS) for word in command]
    if '--folds' in words:
        words[words.index('--folds') + 1] = '2'
    if name in ('train', 'test', 'cross-validate') and '--shrink' not in words:
        words.insert(1, '--shrink')
    if 'work_dirs/try' in words:  # the page says 20 steps
        words += ['--cfg-options', f'train_cfg.max_iters={STEPS}']
    return [name, *words]


def write_scans(number: int, seed: int, scans: str, masks: str | None = None) -> None:
    """NIfTI files of noise, a bright ball of 8 mm in each, and masks of the balls."""
    rng = np.random.default_rng(seed)
    for k in range(number):
        center = rng.integers(12, SIDE - 12, 3)
        ball = np.linalg.norm(np.indices((SIDE,) * 3).T - center, axis=-1).T < 4
        voxels = np.where(ball, 40, rng.normal(-850, 20, ball.shape)).astype(np.int16)
        for folder, values in ((scans, voxels), (masks, ball.astype(np.uint8))):
            if folder:
                Path(folder).mkdir(exist_ok=True)
                sitk.WriteImage(sitk.GetImageFromArray(values), f'{folder}/p{seed}{k}.nii.gz')


def rows_of(path: str) -> list[dict]:
    with Path(path).open(newline='') as file:
        return list(csv.DictReader(file))


def is_score(value) -> bool:
    return isinstance(value, float) and 0 <= value <= 1


def test_every_command_of_the_page(run_tool, capfd):
    write_scans(SCANS, 0, 'scans', 'masks')
    write_scans(NEW_SCANS, 1, 'new_scans')
    (config,) = (block for block in blocks('python') if '_base_' in block)
    Path('mine.py').write_text(config.replace('mmdet3d_medical::', f'{ROOT}/configs/'))
    for command in commands():
        name, *words = make_small(command)
        assert run_tool(TOOLS[name], *words) == 0, (command, capfd.readouterr())

    scores = json.loads(Path('scores.json').read_text())
    assert is_score(scores['cpm'])
    assert (scores['scans'], scores['nodules']) == (3, 3)  # of seven, of which four are trained on
    columns = ['seriesuid', 'coordX', 'coordY', 'coordZ', 'probability', 'diameter_mm']
    marks = rows_of('marks.csv')
    assert marks and list(marks[0]) == [*columns, 'sizeX', 'sizeY', 'sizeZ']
    assert len({row['seriesuid'] for row in marks}) == 3
    new = rows_of('new_marks.csv')
    assert all(row['seriesuid'].startswith('p1') for row in new)
    assert all(float(row['probability']) >= 0.3 for row in new)
    for picture in ('detections.png', 'new_detections.png', 'froc.png'):
        assert matplotlib.image.imread(picture).std() > 0

    pooled = json.loads(Path('work_dirs/mine_cv/scores.json').read_text())
    assert is_score(pooled['cpm'])
    assert (pooled['scans'], pooled['nodules']) == (SCANS, SCANS)
    subsets = [
        scan['subset'] for scan in json.loads(Path('data/mine/index.json').read_text())['scans']
    ]
    assert sorted(subsets) == [0, 0, 0, 0, 1, 1, 1]


def test_every_command_is_known_and_steps_are_told():
    assert {command[0] for command in commands()} == {*TOOLS}
    assert re.search(r'\d+ scans with lesions', PAGE) and re.search(r'\d+ minutes', PAGE)


@pytest.mark.parametrize(
    ('command', 'expected'),
    [
        ('test mine.py run/iter_10000.pth', 'test mine.py --shrink run/iter_2.pth'),
        ('make-splits index.json --folds 5', 'make-splits index.json --folds 2'),
    ],
)
def test_commands_are_made_small(command, expected):
    assert shlex.join(make_small(command.split())) == expected
