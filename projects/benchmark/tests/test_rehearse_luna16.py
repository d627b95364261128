"""docs/luna16.md: its commands exist, fit together, cover the paper; its rehearsal notices failure.

The rehearsal itself, projects/benchmark/rehearse_luna16.py, takes too long for a test.
"""

import json
import re
import runpy
import sys
from functools import cache
from pathlib import Path

import pytest

from mmdet3d_medical.apis import load_config
from mmdet3d_medical.apis.options import datasets_in

ROOT = Path(__file__).parents[3]
REHEARSAL = runpy.run_path(str(ROOT / 'projects/benchmark/rehearse_luna16.py'))
PAGE, make_small = REHEARSAL['PAGE'], REHEARSAL['make_small']
COMMANDS = REHEARSAL['commands_of'](PAGE, ROOT)
NOT_OF_THE_PAPER = ('mean-teacher', 'mixmatch', 'pseudo-labels', 'sure')


@cache
def parser_of(tool: str):
    return runpy.run_path(str(ROOT / tool), run_name='tool')['parse_args']


@cache
def config_of(path: str):
    return load_config(str(ROOT / path))


def parse(command, monkeypatch):
    monkeypatch.setattr(sys, 'argv', command)
    try:
        return parser_of(command[0])()
    except SystemExit:
        pytest.fail(f'python {" ".join(command)}: its options are refused, see above')


def parsed(monkeypatch, *tools):
    for command in COMMANDS:
        if command[0] in [f'tools/{tool}.py' for tool in tools]:
            yield command[0], parse(command, monkeypatch)


def work_dir_of(args) -> str:
    return args.work_dir or f'work_dirs/{Path(args.config).stem}'


def test_tools_configs_and_options_exist(monkeypatch):
    assert len(COMMANDS) > 50
    for command in COMMANDS:
        if command[0] == '-m':
            assert command[1:3] == ['zipfile', '-e']
            continue
        assert all((ROOT / word).is_file() for word in command if word.endswith('.py')), command
        parse(command, monkeypatch)
        parse(make_small(command), monkeypatch)


def test_each_command_finds_what_it_needs(monkeypatch):
    """A checkpoint was trained by that config alone, and marks that are scored were written."""
    made, owners = set(), {}
    tools = 'train', 'test', 'cross_validate', 'analysis_tools/eval_froc'
    for tool, args in parsed(monkeypatch, *tools):
        if tool == 'tools/train.py':
            folder = work_dir_of(args)
            assert owners.setdefault(folder, args.config) == args.config
            made.add(f'{folder}/iter_{config_of(args.config).train_cfg.max_iters}.pth')
        elif tool == 'tools/test.py':
            assert args.checkpoint in made and args.out
            assert owners[str(Path(args.checkpoint).parent)] == args.config
            made.add(args.out)
        elif tool == 'tools/cross_validate.py':
            made.add(f'work_dirs/{Path(args.config).stem}_cv/marks.csv')
        else:
            assert set(args.marks) <= made
            assert args.names is None or len(args.names) == len(args.marks)


def test_data_that_configs_read_are_converted(monkeypatch):
    tools = 'dataset_converters/luna16', 'dataset_converters/dicom'
    converted = {f'{args.out}/' for _, args in parsed(monkeypatch, *tools)}
    for _, args in parsed(monkeypatch, 'train', 'cross_validate'):
        loader = config_of(args.config).train_dataloader
        assert {dataset.data_root for _, dataset in datasets_in(loader, '')} <= converted


def test_every_row_of_the_paper_is_trained(monkeypatch):
    rows = {
        path.stem
        for path in (ROOT / 'configs/focalmix').glob('retina3d_fpn_luna16_*.py')
        if not path.stem.endswith(NOT_OF_THE_PAPER)
        and not re.search('_(25|50)l-[123]00u', path.stem)
    }
    trained = {Path(args.config).stem for _, args in parsed(monkeypatch, 'train')}
    assert len(rows) == 19 and rows | {'retina3d_fpn_luna16'} == trained


def test_options_of_the_rehearsal():
    train = ['tools/train.py', 'configs/a.py']
    small = ['--shrink', '--cfg-options', 'train_cfg.max_iters=2']
    assert make_small([*train, '--amp']) == [*train, *small]
    assert make_small(['tools/test.py', 'configs/a.py', 'w/iter_40000.pth']) == [
        'tools/test.py',
        'configs/a.py',
        'w/iter_2.pth',
        '--shrink',
    ]
    for config, ending in (('retina3d/x.py', []), ('s4nd/x.py', ['--folds', '0'])):
        command = ['tools/cross_validate.py', f'configs/{config}']
        assert make_small(command) == [*command, *small, *ending]
    score = ['tools/analysis_tools/eval_froc.py', 'marks.csv']
    assert make_small(score) == score
    split = make_small(['tools/dataset_converters/make_splits.py', 'index.json'])
    assert split[2:] == '--labeled 2 3 5 --unlabeled 3 5 7 10'.split()


def test_loops_and_their_order(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text(
        '```bash\nfor a in 1 "2 3"; do\n    python x.py "$a" \\\n        -b\n'
        'done\n```\ntext\n```\npython no.py\n```\n```bash\npython y.py\n```\n'
    )
    assert REHEARSAL['commands_of'](page, tmp_path) == [
        ['x.py', '1', '-b'],
        ['x.py', '2 3', '-b'],
        ['y.py'],
    ]


@pytest.fixture
def rehearsed(tmp_path):
    """What a rehearsal of one command leaves."""
    (tmp_path / 'data/nlst').mkdir(parents=True)
    expected = dict(
        luna16={'scans are in several subsets': ['b'], 'no mask': ['a', 'c']},
        nlst=dict(results={'converted': 1, 'left out': 2}, reasons=['localiser']),
    )
    (tmp_path / 'data/expected.json').write_text(json.dumps(expected))
    (tmp_path / 'data/nlst/report.csv').write_text(
        'seriesuid,result,reason\na,left out,localiser\nb,converted,\nc,left out,not CT\n'
        ',left out,not DICOM\n'
    )
    (tmp_path / 'rehearsal.log').write_text(
        '$ python x.py\n1 scans are in several subsets and so on:\n  b: subset0, subset5\n'
        '3 scans have no mask:\n  a\n  b\n  c\n24 scans, 30 lesions: index.json\n'
    )
    (tmp_path / 'marks.csv').touch()
    return tmp_path


@pytest.mark.parametrize(
    'file, before, after, problem',
    [
        ('rehearsal.log', '', '', None),
        ('rehearsal.log', '  c\n', '', 'luna16.py has not reported c among: no mask'),
        (
            'rehearsal.log',
            '  b:',
            '  bb:',
            'has not reported b among: scans are in several subsets',
        ),
        ('data/nlst/report.csv', 'c,left out', 'c,failed', "'converted': 1, 'failed': 1}"),
        ('data/nlst/report.csv', 'localiser', 'not CT', 'no series is left out for localiser'),
    ],
)
def test_what_is_not_as_expected_is_told(rehearsed, file, before, after, problem):
    problems_of = REHEARSAL['problems_of']
    path = rehearsed / file
    path.write_text(path.read_text().replace(before, after) if before else path.read_text())
    problems = problems_of(rehearsed, [['x.py', '--out', 'marks.csv']])
    assert len(problems) == bool(problem) and all(problem in text for text in problems)
    (lost,) = set(problems_of(rehearsed, [['x.py', '--out', 'lost.csv']])) - set(problems)
    assert lost == 'lost.csv is missing after: python x.py --out lost.csv'


def test_links_of_the_page():
    for link in re.findall(r'\]\(([^)#]+?)(?:#[^)]*)?\)', PAGE.read_text()):
        assert link.startswith('https://') or (PAGE.parent / link).is_file(), link
