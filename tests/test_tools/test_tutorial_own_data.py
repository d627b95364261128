"""The tutorial for own data, run command by command on tiny scans."""

import csv
import json
import re
import shlex
from pathlib import Path

import matplotlib
import pytest

from .tutorials import ROOT, TOOLS, blocks, commands, installed, make_small, write_scans

PAGE = (ROOT / 'docs/tutorials/own_data.md').read_text()
SCANS, NEW_SCANS = 7, 2


def rows_of(path: str) -> list[dict]:
    with Path(path).open(newline='') as file:
        return list(csv.DictReader(file))


def is_score(value) -> bool:
    return isinstance(value, float) and 0 <= value <= 1


def test_every_command_of_the_page(run_tool, capfd):
    write_scans(SCANS, 0, 'scans', 'masks')
    write_scans(NEW_SCANS, 1, 'new_scans')
    (config,) = (block for block in blocks(PAGE, 'python') if '_base_' in block)
    Path('mine.py').write_text(installed(config))
    for command in commands(PAGE):
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
    assert {command[0] for command in commands(PAGE)} == {*TOOLS}
    assert re.search(r'\d+ scans with lesions', PAGE) and re.search(r'\d+ minutes', PAGE)


@pytest.mark.parametrize(
    ('command', 'expected'),
    [
        ('test mine.py run/iter_10000.pth', 'test mine.py --shrink run/iter_2.pth'),
        ('test mine.py run/iter_40000.pth', 'test mine.py --shrink run/iter_2.pth'),
        (
            'train mine.py --work-dir a',
            'train mine.py --shrink --work-dir a --cfg-options train_cfg.max_iters=2',
        ),
        (
            'train a.py --cfg-options data_root=b',
            'train a.py --shrink --cfg-options data_root=b train_cfg.max_iters=2',
        ),
        ('make-splits index.json --folds 5', 'make-splits index.json --folds 2'),
    ],
)
def test_commands_are_made_small(command, expected):
    assert shlex.join(make_small(command.split())) == expected
