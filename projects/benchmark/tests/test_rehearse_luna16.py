"""docs/luna16.md: its commands exist, fit together, cover the paper; its rehearsal notices failure.

The rehearsal itself, projects/benchmark/rehearse_luna16.py, takes too long for a test.
"""

import json
import re
import runpy
from functools import cache
from pathlib import Path

import pytest

from mmdet3d_medical.apis import load_config
from mmdet3d_medical.apis.options import datasets_in
from mmdet3d_medical.cli.main import parse

ROOT = Path(__file__).parents[3]
REHEARSAL = runpy.run_path(str(ROOT / 'projects/benchmark/rehearse_luna16.py'))
PAGE, make_small = REHEARSAL['PAGE'], REHEARSAL['make_small']
COMMANDS = REHEARSAL['commands_of'](PAGE, ROOT)


@cache
def config_of(path: str, semi: tuple = ()):
    return load_config(str(ROOT / path), semi=semi)


def read(command):
    try:
        return parse(command[1], command[2:])
    except SystemExit:
        pytest.fail(f'{" ".join(command)}: its options are refused, see above')


def parsed(*names):
    for command in COMMANDS:
        if command[1] in names:
            yield command[1], read(command)


def test_commands_configs_and_options_exist():
    assert len(COMMANDS) > 50
    for command in COMMANDS:
        if command[0] == 'python':
            assert command[1:4] == ['-m', 'zipfile', '-e']
            continue
        assert all((ROOT / word).is_file() for word in command if word.endswith('.py')), command
        read(command)
        read(make_small(command))
        if getattr(read(command), 'cfg_options', None):
            args = read(command)
            load_config(str(ROOT / args.config), options=args.cfg_options, semi=args.semi)


def test_each_command_finds_what_it_needs():
    """A checkpoint was trained by that config alone, and marks that are scored were written."""
    made, owners = set(), {}
    for name, args in parsed('train', 'test', 'cross-validate', 'eval-froc'):
        if name == 'train':
            assert owners.setdefault(args.work_dir, args.config) == args.config
            steps = config_of(args.config, tuple(args.semi)).train_cfg.max_iters
            made.add(f'{args.work_dir}/iter_{steps}.pth')
        elif name == 'test':
            assert args.checkpoint in made and args.out
            assert owners[str(Path(args.checkpoint).parent)] == args.config
            made.add(args.out)
        elif name == 'cross-validate':
            made.add(f'work_dirs/{Path(args.config).stem}_cv/marks.csv')
        else:
            assert set(args.marks) <= made
            assert args.names is None or len(args.names) == len(args.marks)


def test_data_that_configs_read_are_converted():
    converted = {f'{args.out}/' for _, args in parsed('convert-luna16', 'convert-dicom')}
    for _, args in parsed('train', 'cross-validate'):
        loader = config_of(args.config).train_dataloader
        assert {dataset.data_root for _, dataset in datasets_in(loader, '')} <= converted


def test_every_row_of_the_paper_is_trained():
    """Table 1: six; Figure 3: three more; Table 3: eight more; Table 4: three."""
    trained = {Path(args.work_dir).name for _, args in parsed('train') if args.seed is None}
    pairs = {f'{labeled}l-{unlabeled}u' for labeled in (25, 50, 100) for unlabeled in (0, 400)}
    more = {f'100l-{unlabeled}u' for unlabeled in (100, 200, 300)}
    ablations = {'no-soft', 'no-soft-alpha', 'no-soft-beta', 'no-mixup', 'image-mixup'}
    assert trained == pairs | more | ablations | {'k1', 'k2', 'k8'} | {
        'all',
        'all-mixup',
        'all-nlst',
    }


@pytest.mark.parametrize(
    ('name', 'changed'),
    [
        ('k8', {'targets'}),
        ('image-mixup', {'mixers'}),
        ('no-mixup', {'mixers'}),
        ('no-soft', {'mixers', 'detector'}),
    ],
)
def test_an_ablation_changes_what_its_name_says(name, changed):
    models = {
        Path(args.work_dir).name: load_config(
            str(ROOT / args.config), options=args.cfg_options, semi=args.semi
        ).model
        for _, args in parsed('train')
        if Path(args.work_dir).name in (name, '100l-400u')
    }
    one, other = models[name], models['100l-400u']
    assert {key for key in other if one[key] != other[key]} == changed
    loss = one.detector.bbox_head.loss_cls
    assert ('threshold' in loss.values()) == (name == 'no-soft')


def test_options_of_the_rehearsal():
    train = ['mmdet3d-medical', 'train', 'configs/a.py']
    small = ['--shrink', '--cfg-options', 'train_cfg.max_iters=2']
    assert make_small([*train, '--amp']) == [*train, *small]
    changed = make_small([*train, '--amp', '--cfg-options', 'a=1'])
    assert changed == [*train, '--shrink', '--cfg-options', 'a=1', 'train_cfg.max_iters=2']
    assert make_small(['mmdet3d-medical', 'test', 'configs/a.py', 'w/iter_40000.pth']) == [
        'mmdet3d-medical',
        'test',
        'configs/a.py',
        'w/iter_2.pth',
        '--shrink',
    ]
    for config, folds in (('retina3d/x.py', []), ('s4nd/x.py', ['--folds', '0'])):
        command = ['mmdet3d-medical', 'cross-validate', f'configs/{config}']
        assert make_small(command) == [*command, '--shrink', *folds, *small[1:]]
    score = ['mmdet3d-medical', 'eval-froc', 'marks.csv']
    assert make_small(score) == score
    split = make_small(['mmdet3d-medical', 'make-splits', 'index.json'])
    assert split[3:] == '--labeled 2 3 5 --unlabeled 3 5 7 10'.split()


def test_loops_and_their_order(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text(
        '```bash\nfor a in 1 "2 3"; do\n    python x.py "$a" \\\n        -b\n'
        'done\n```\ntext\n```\npython no.py\n```\n```bash\npython y.py\n```\n'
    )
    assert REHEARSAL['commands_of'](page, tmp_path) == [
        ['python', 'x.py', '1', '-b'],
        ['python', 'x.py', '2 3', '-b'],
        ['python', 'y.py'],
    ]


@pytest.fixture
def rehearsed(tmp_path):
    """What a rehearsal of one command leaves."""
    (tmp_path / 'data/nlst').mkdir(parents=True)
    expected = dict(
        luna16={'scans are in several subsets': ['b'], 'no mask': ['a', 'c']},
        nlst=dict(results={'converted': 1, 'left out': 2}, reasons=['localizer']),
    )
    (tmp_path / 'data/expected.json').write_text(json.dumps(expected))
    (tmp_path / 'data/nlst/report.csv').write_text(
        'seriesuid,result,reason\na,left out,localizer\nb,converted,\nc,left out,not CT\n'
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
        ('rehearsal.log', '  c\n', '', 'convert-luna16 has not reported c among: no mask'),
        (
            'rehearsal.log',
            '  b:',
            '  bb:',
            'has not reported b among: scans are in several subsets',
        ),
        ('data/nlst/report.csv', 'c,left out', 'c,failed', "'converted': 1, 'failed': 1}"),
        ('data/nlst/report.csv', 'localizer', 'not CT', 'no series is left out for localizer'),
    ],
)
def test_what_is_not_as_expected_is_told(rehearsed, file, before, after, problem):
    problems_of = REHEARSAL['problems_of']
    path = rehearsed / file
    path.write_text(path.read_text().replace(before, after) if before else path.read_text())
    problems = problems_of(rehearsed, [['python', 'x.py', '--out', 'marks.csv']])
    assert len(problems) == bool(problem) and all(problem in text for text in problems)
    (lost,) = set(problems_of(rehearsed, [['python', 'x.py', '--out', 'lost.csv']])) - set(problems)
    assert lost == 'lost.csv is missing after: python x.py --out lost.csv'


def test_links_of_the_page():
    for link in re.findall(r'\]\(([^)#]+?)(?:#[^)]*)?\)', PAGE.read_text()):
        assert link.startswith('https://') or (PAGE.parent / link).is_file(), link
