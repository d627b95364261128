from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine.config import DictAction
from study.commands import candidates_command, other_scans_command, train_command
from study.commands import test_command as command_of_test
from study.runs import on_device
from study.table import read_table, runs_of

from mmdet3d_medical.apis import load_config
from mmdet3d_medical.utils.errors import UsageError

from .conftest import MIXED, PLAIN


@pytest.fixture
def runs(write_table):
    return {run.name: run for run in runs_of(read_table(write_table()))}


def train(bench, run) -> Path:
    """Leave what a run leaves."""
    folder = bench.folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'iter_4.pth').touch()
    (folder / 'last_checkpoint').write_text('/elsewhere/iter_4.pth')
    return folder


def finish(bench, run):
    train(bench, run)
    bench.claim(run)
    bench.record_failure(run, 'diverged')


def names(runs):
    return [run.name for run in runs]


def test_all_rows_of_a_seed_come_before_the_next_seed(runs):
    rows = 'plain', 'mixed', 'later'
    assert list(runs) == [f'table/{row}_seed{seed}' for seed in (0, 1) for row in rows]


def test_only_some_rows(write_table):
    table = read_table(write_table())
    assert names(runs_of(table, ['later'])) == ['table/later_seed0', 'table/later_seed1']
    assert names(runs_of(table, ['later'], [1])) == ['table/later_seed1']
    with pytest.raises(UsageError, match=r'no seeds \[7\], it has \[0, 1\]'):
        runs_of(table, ['later'], [7])
    with pytest.raises(UsageError, match=r"no rows \['none'\], it has \['plain'"):
        runs_of(table, ['none'])


def test_what_is_missing_is_planned_and_what_it_starts_from(bench, runs):
    assert names(bench.plan(runs.values())) == list(runs)
    later, plain = runs['table/later_seed1'], runs['table/plain_seed1']
    assert names(bench.plan([later])) == [plain.name, later.name]
    finish(bench, plain)
    assert names(bench.plan(runs.values())) == [name for name in runs if name != plain.name]
    assert names(bench.plan([later])) == [later.name]
    # A result without its checkpoint, as after cloning: trained again to start from.
    (bench.folder(plain) / 'last_checkpoint').unlink()
    assert names(bench.plan([plain, later])) == [plain.name, later.name]
    finish(bench, later)
    assert bench.plan([plain, later]) == []


def test_runs_of_two_rows_are_run_once(bench, write_table):
    table = read_table(
        write_table(rows=[dict(name='a', config=PLAIN), dict(name='b', same_as='a')], seeds=[5])
    )
    assert names(bench.plan(runs_of(table))) == ['table/a_seed5']


def test_training_that_is_not_at_its_end_has_no_checkpoint(bench, runs):
    run = runs['table/plain_seed0']
    assert bench.checkpoint(run) is None
    folder = train(bench, run)
    assert bench.checkpoint(run) == folder / 'iter_4.pth'
    (folder / 'last_checkpoint').write_text('iter_2.pth')  # iter_4 is being written
    assert bench.checkpoint(run) is None
    (folder / 'last_checkpoint').write_text('')
    assert bench.checkpoint(run) is None


def config_of(command: list[str], name: str):
    """The config as a tool with this command line has it."""
    parser = ArgumentParser()
    parser.add_argument('config')
    parser.add_argument('checkpoint', nargs='?')
    for option in ('--work-dir', '--seed', '--out'):
        parser.add_argument(option)
    parser.add_argument('--resume', action='store_true')
    parser.add_argument('--amp', action='store_true')
    parser.add_argument('--semi', nargs='+', default=())
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    assert Path(command[1]).name == name and Path(command[1]).is_file()
    args = parser.parse_args(command[2:])
    return args, load_config(args.config, options=args.cfg_options, semi=args.semi)


def test_training_takes_the_lists_of_the_benchmark(bench, write_table):
    table = read_table(
        write_table(
            amp=True,
            rows=[
                dict(
                    name='a',
                    config=MIXED,
                    options={
                        'custom_hooks.0.ann_file': 'index.json',
                        'model.teacher.momentum': 0.5,
                        'model.mixers.object': None,
                        'model.detector.bbox_head.loss_cls.alpha': [0.1, 0.9],
                    },
                )
            ],
        )
    )
    args, cfg = config_of(train_command(bench, runs_of(table)[1]), 'train.py')
    assert (args.seed, args.amp, args.resume) == ('1', True, True)
    assert args.work_dir == str(bench.work / 'table/a_seed1')
    sources = cfg.train_dataloader.dataset.datasets
    for name, split in (('labeled', 'labeled_10'), ('unlabeled', 'unlabeled_100')):
        assert sources[name].data_root == str(bench.root)
        assert sources[name].split == f'splits/draw1/{split}.txt'
        assert sources[name].subsets is None
    assert cfg.custom_hooks[0].ann_file == f'{bench.root}/index.json'
    assert cfg.val_dataloader is cfg.val_cfg is cfg.val_evaluator is None
    assert cfg.train_cfg.max_iters == 4 and cfg.param_scheduler[-1]['end'] == 4
    assert cfg.model.teacher.momentum == 0.5 and cfg.model.mixers.object is None
    assert list(cfg.model.detector.bbox_head.loss_cls.alpha) == [0.1, 0.9]


def test_a_config_without_list_takes_all_training_scans(bench, write_table):
    config = 'configs/retina3d/retina3d_fpn_phantom.py'
    table = read_table(write_table(rows=[dict(name='a', config=config)]))
    args, cfg = config_of(train_command(bench, runs_of(table)[0]), 'train.py')
    assert cfg.train_dataloader.dataset.split == 'splits/draw0/train.txt'
    assert cfg.train_dataloader.dataset.subsets is None
    assert not args.amp


def test_training_starts_from_the_same_seed(bench, runs):
    checkpoint = train(bench, runs['table/plain_seed1']) / 'iter_4.pth'
    _, cfg = config_of(train_command(bench, runs['table/later_seed1']), 'train.py')
    assert cfg.load_from == str(checkpoint)


def test_test_finds_marks_in_the_scored_scans(bench, runs):
    run = runs['table/plain_seed1']
    folder = train(bench, run)
    args, cfg = config_of(command_of_test(bench, run), 'test.py')
    assert args.checkpoint == str(folder / 'iter_4.pth')
    assert args.out == str(folder / 'marks.csv')
    dataset = cfg.test_dataloader.dataset
    assert (dataset.data_root, dataset.split) == (str(bench.root), 'splits/draw1/test.txt')
    assert dataset.subsets is None


def test_marks_in_other_scans_are_found_in_all_of_them(bench, runs, tmp_path):
    run = runs['table/plain_seed1']
    train(bench, run)
    out = tmp_path / 'other_marks.csv'
    args, cfg = config_of(other_scans_command(bench, run, tmp_path / 'other', out), 'test.py')
    dataset = cfg.test_dataloader.dataset
    assert (args.out, dataset.data_root) == (str(out), str(tmp_path / 'other'))
    assert dataset.split is dataset.subsets is None
    assert cfg.model.test_cfg.max_per_scan == 1000
    _, cfg = config_of(other_scans_command(bench, runs['table/mixed_seed0'], out, out), 'test.py')
    assert cfg.model.detector.test_cfg.max_per_scan == 1000


def test_candidates_are_found_in_the_longest_unlabeled_list(bench, write_table):
    around = dict(config=PLAIN, semi=['phantom', 'candidates', 'focalmix'], start='base')
    rows = [dict(name='base', config=PLAIN), dict(name='a', **around)]
    base, run = runs_of(read_table(write_table(rows=rows, seeds=[1])))
    train(bench, base)
    args, cfg = config_of(candidates_command(bench, base), 'test.py')
    assert args.out == str(bench.work / 'table/base_seed1/new_candidates.csv')
    assert cfg.test_dataloader.dataset.split == 'splits/draw1/unlabeled_2.txt'
    _, cfg = config_of(train_command(bench, run), 'train.py')
    loading = cfg.train_dataloader.dataset.datasets.unlabeled.pipeline[1]
    assert (loading.type, loading.marks) == ('LoadCandidates', str(bench.candidates(base)))


def test_results_of_another_row_are_refused(bench, runs, write_table):
    finish(bench, runs['table/mixed_seed0'])
    assert bench.check(runs.values()) == []
    rows = [dict(name='mixed', config=MIXED, options={'model.seed': 2})]
    changed = runs_of(read_table(write_table(rows=rows)))
    with pytest.raises(UsageError, match=r'table.jsonl is of another run: options .*its line'):
        bench.check(changed)
    with pytest.raises(UsageError, match=r'run.json is of another run: .*delete the folder'):
        bench.claim(changed[0])


def test_results_at_other_rates_are_refused(bench, runs, write_result):
    run = runs['table/mixed_seed0']
    write_result(run, 2)
    assert bench.check([run]) == [] and bench.summary(run).startswith('CPM ')
    write_result(run, 2, sensitivity={'1': 0.2, '8': 0.6})
    assert bench.summary(run).startswith('sensitivity at 1 to 8 ')
    with pytest.raises(UsageError, match=r'rates \(1.0, 8.0\), now \(0.125, .*delete its line'):
        bench.check([run])


def test_results_of_another_default_are_named_but_not_gone_on_with(bench, runs):
    run = runs['table/mixed_seed0']
    finish(bench, run)
    for path in (bench.results.file(run), bench.folder(run) / 'run.json'):
        path.write_text(path.read_text().replace(bench.describe(run)['settings'], 'other'))
    assert bench.check(runs.values()) == [run.name]
    with pytest.raises(UsageError, match="settings 'other', now"):
        bench.claim(run)


def test_settings_tell_of_what_a_training_starts_from(bench, runs, write_table):
    rows = [
        dict(name='plain', config=PLAIN, options={'train_cfg.max_iters': 8}),
        dict(name='later', config=PLAIN, start='plain'),
    ]
    longer = runs_of(read_table(write_table(rows=rows)))[1]
    before, now = (bench.describe(run) for run in (runs['table/later_seed0'], longer))
    assert {key for key in now if now[key] != before[key]} == {'settings'}


def test_results_are_plain(bench, runs):
    run = runs['table/later_seed0']
    finish(bench, run)
    result = bench.results.find(run)
    assert result.pop('failure') == 'diverged' and len(result.pop('settings')) == 16
    assert result == dict(
        row='later',
        seed=0,
        config=PLAIN,
        semi=[],
        options={'train_cfg.max_iters': 4},
        amp=False,
        start='table/plain_seed0',
        data='tiny',
        scored_on='test',
    )
    assert bench.summary(run) == 'failed: diverged'


def test_teachers_are_trained_first_and_handed_on(bench, write_table):
    taught = dict(
        name='taught',
        config=PLAIN,
        semi=['phantom', 'ensemble_pseudo_labels'],
        teachers=dict(row='plain', offsets=[0, 2]),
    )
    rows = [dict(name='plain', config=PLAIN), taught]
    *_, run = planned = bench.plan(runs_of(read_table(write_table(rows=rows, seeds=[1]))))
    assert [one.name for one in planned] == [
        'table/plain_seed1',
        'table/plain_seed3',  # not a seed of the table
        'table/taught_seed1',
    ]
    for one in run.teachers:
        finish(bench, one)
    files = ','.join(str(bench.checkpoint(one)) for one in run.teachers)
    assert f'model.teacher.checkpoints=[{files}]' in train_command(bench, run)
    assert bench.describe(run)['teachers'] == ['table/plain_seed1', 'table/plain_seed3']
    assert 'teachers' not in bench.describe(planned[0])  # as in older results


def test_shrunk_runs_leave_out_options_that_enlarge_them(bench, write_table):
    size = 'train_dataloader.dataset.pipeline.1.size'
    options = {size: [64] * 3, 'train_dataloader.batch_size': 16, 'optim_wrapper.optimizer.lr': 0.1}
    rows = [dict(name='plain', config=PLAIN, options=options)]
    (run, *_) = runs_of(read_table(write_table(rows=rows)))
    small = replace(bench, shrink=True)
    assert (bench.steps(run), small.steps(run)) == (4, 20)
    cfg = small.config(run.setting)
    assert (cfg.train_dataloader.batch_size, cfg.optim_wrapper.optimizer.lr) == (2, 0.1)
    whole, shrunk = (train_command(one, run) for one in (bench, small))
    assert '--shrink' in shrunk and '--shrink' not in whole
    assert [any(part.startswith(size) for part in one) for one in (whole, shrunk)] == [True, False]
    assert '--shrink' in command_of_test(small, run)


def test_results_name_a_gpu(monkeypatch):
    assert on_device() == {}
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda: 'a GPU')
    assert on_device() == dict(device='a GPU')
