"""The runner, with short scripts in the place of training and testing."""

import sys
import time

import pytest
from study import outlook, runner, runs
from study.table import read_table, runs_of

from mmdet3d_medical.utils.processes import STEPS_LOCK, lock_folder

from .conftest import PLAIN

TRAIN = """
import pathlib, sys, time
folder = pathlib.Path({folder!r})
print('Iter(train) [   3/4]  lr: 1e-3  eta: 0:00:01  time: 0.5000  data_time: 0.1', flush=True)
{extra}
(folder / 'iter_4.pth').touch()
(folder / 'last_checkpoint').write_text('iter_4.pth')
"""
TEST = """
import pathlib
pathlib.Path({folder!r}, 'marks.csv').write_text(
    'seriesuid,coordX,coordY,coordZ,probability\\n')
"""
CANDIDATES = TEST.replace('marks.csv', 'new_candidates.csv')
AROUND = dict(config=PLAIN, semi=['phantom', 'candidates', 'focalmix'], start='base')


@pytest.fixture
def scripts(monkeypatch):
    """What runs do besides, by name of the run; and the commands that were run."""
    extra, commands = {}, []

    def command(what, script):
        def make(bench, run):
            commands.append((what, run.name))
            code = script.format(folder=str(bench.folder(run)), extra=extra.get(run.name, ''))
            return [sys.executable, '-S', '-c', code]

        return make

    monkeypatch.setattr(runner, 'train_command', command('train', TRAIN))
    monkeypatch.setattr(runner, 'test_command', command('test', TEST))
    monkeypatch.setattr(runner, 'candidates_command', command('candidates', CANDIDATES))
    monkeypatch.setattr(runner, 'POLL_SECONDS', 0.02)
    monkeypatch.setattr(runs, 'training_seconds', lambda checkpoint: 2.0)
    return extra, commands


@pytest.fixture
def missing(bench, write_table):
    return bench.plan(runs_of(read_table(write_table(seeds=[0]))))


def forget(bench, run):
    """Delete the line of a run, as its user would."""
    path = bench.results.file(run)
    row = f'"row": "{run.setting.name}"'
    path.write_text(
        ''.join(line for line in path.read_text().splitlines(keepends=True) if row not in line)
    )


def run_all(bench, missing, workers=2):
    work = runner.Runner(bench, missing, workers)
    work.run()
    return work.errors


def test_each_run_is_trained_tested_and_recorded(bench, missing, scripts, capsys):
    assert run_all(bench, missing) == {}
    assert bench.plan(missing) == []
    for run in missing:
        result = bench.results.find(run)
        assert (result['steps'], result['seconds'], result['cpm']) == (4, 2.0, 0.0)
        assert list(result['sensitivity'].values()) == [0.0] * 7
        assert len(result['marks']) == 16
        assert bench.log(run, 'train').read_text().startswith(f'$ {sys.executable} -S -c')
    assert 'table/mixed_seed0: CPM 0.000, 4 steps in 0.0 min' in capsys.readouterr().out
    _, commands = scripts
    assert commands.index(('test', 'table/plain_seed0')) < commands.index(
        ('train', 'table/later_seed0')
    )


def test_finished_parts_are_not_repeated(bench, missing, scripts):
    _, commands = scripts
    run_all(bench, missing)
    plain = missing[0]
    forget(bench, plain)
    commands.clear()
    run_all(bench, bench.plan(missing))
    assert commands == [('test', plain.name)]
    # Its result is kept when it is trained again for another one to start from.
    (bench.folder(plain) / 'last_checkpoint').unlink()
    later = missing[2]
    forget(bench, later)
    (bench.folder(later) / 'last_checkpoint').unlink()
    commands.clear()
    run_all(bench, bench.plan(missing))
    assert commands == [('train', plain.name), ('train', later.name), ('test', later.name)]


def test_what_diverges_is_recorded_and_the_others_go_on(bench, missing, scripts):
    extra, commands = scripts
    message = 'error: loss_cls is not finite in iteration 3, on scans a.'
    extra['table/mixed_seed0'] = f'print({message!r}); sys.exit(2)'
    assert run_all(bench, missing, workers=1) == {}
    assert bench.results.find(missing[1])['failure'] == message
    assert ('test', 'table/mixed_seed0') not in commands
    assert bench.plan(missing) == []


def test_errors_are_told_and_leave_the_run_for_later(bench, missing, scripts):
    extra, _ = scripts
    extra['table/plain_seed0'] = 'sys.exit(2)'
    errors = run_all(bench, missing)
    assert errors['table/plain_seed0'].startswith('exit status 2, see ')
    assert errors['table/later_seed0'].startswith('table/plain_seed0, which it needs')
    assert [run.name for run in bench.plan(missing)] == list(errors)


def test_a_folder_in_use_is_waited_for(bench, missing, scripts, tmp_path):
    extra, commands = scripts
    plain, done = missing[0], tmp_path / 'done'
    # A process that outlived its runner: the second run goes ahead, the first waits for it.
    extra['table/mixed_seed0'] = f"""
while not pathlib.Path({str(done)!r}).exists():
    time.sleep(0.01)
"""
    with lock_folder(bench.folder(plain), STEPS_LOCK):
        work = runner.Runner(bench, missing[:2], workers=2)
        work._start_waiting()
        assert commands == [('train', 'table/mixed_seed0')]
        assert work.waiting == [plain]
    done.touch()
    work.run()
    assert work.errors == {} and bench.plan(missing[:2]) == []


def test_candidates_are_found_once_by_what_a_run_starts_from(bench, write_table, scripts):
    _, commands = scripts
    rows = [
        dict(name='base', config=PLAIN),
        dict(name='one', **AROUND),
        dict(name='two', **AROUND),
    ]
    runs = bench.plan(runs_of(read_table(write_table(rows=rows, seeds=[0]))))
    assert run_all(bench, runs) == {}
    assert [run for what, run in commands if what == 'candidates'] == ['table/base_seed0']
    assert commands[:3] == [
        ('train', 'table/base_seed0'),
        ('test', 'table/base_seed0'),
        ('candidates', 'table/base_seed0'),
    ]
    assert bench.candidates(runs[0]).is_file() and not bench.new_candidates(runs[0]).exists()


def test_a_search_for_candidates_that_fails_is_told_by_its_log(
    bench, write_table, scripts, monkeypatch
):
    rows = [dict(name='base', config=PLAIN), dict(name='one', **AROUND)]
    bench_runs = runs_of(read_table(write_table(rows=rows, seeds=[0])))
    code = 'import sys; print("is not finite in iteration"); sys.exit(3)'
    fails = [sys.executable, '-S', '-c', code]
    monkeypatch.setattr(runner, 'candidates_command', lambda bench, run: fails)
    errors = run_all(bench, bench_runs)
    assert errors == {
        'table/one_seed0': f'exit status 3, see {bench.log(bench_runs[0], "candidates")}'
    }
    assert bench.results.find(bench_runs[1]) is None


def test_an_older_failure_in_the_log_is_not_taken_for_this_one(bench, missing, scripts):
    extra, _ = scripts
    plain = missing[0]
    bench.folder(plain).mkdir(parents=True)
    bench.log(plain, 'train').write_text('$ train\nloss is not finite in iteration 3\n')
    extra[plain.name] = 'sys.exit(2)'
    assert run_all(bench, missing[:1])[plain.name].startswith('exit status 2')
    assert bench.results.find(plain) is None


def test_candidates_need_a_start(bench, write_table, scripts):
    runs = runs_of(
        read_table(
            write_table(rows=[dict(name='one', config=PLAIN, semi=AROUND['semi'])], seeds=[0])
        )
    )
    errors = run_all(bench, runs)
    assert errors == {
        'table/one_seed0': 'table/one_seed0 cuts patches around candidates: give the '
        'row a start, whose detector finds them'
    }


def test_processes_keep_the_lock_of_a_runner_that_is_gone(bench, missing, scripts):
    scripts[0]['table/plain_seed0'] = 'time.sleep(0.5)'
    work = runner.Runner(bench, missing[:1], workers=1)
    work._start_waiting()
    (job,) = work.jobs
    job.steps.close()  # as when the runner is killed, its process lives
    other = runner.Runner(bench, missing[:1], workers=1)
    other._start_waiting()
    assert other.jobs == []
    other.run()
    assert scripts[1] == [('train', 'table/plain_seed0'), ('test', 'table/plain_seed0')]


def test_processes_end_with_the_runner(bench, missing, scripts, monkeypatch):
    scripts[0]['table/plain_seed0'] = 'time.sleep(60)'
    work = runner.Runner(bench, missing[:1], workers=1)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(work.outlook, 'look', interrupt)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        work.run()
    assert work.jobs[0].process.returncode and time.monotonic() - start < 10
    assert bench.plan(missing[:1]) == missing[:1]


def test_time_left(bench, missing):
    look = outlook.Outlook(bench, missing, workers=2)
    plain, mixed, later = missing
    look.look([plain], [mixed, later])
    assert (look.total, look.done, look.left) == (12, 0, '')
    for run, step, seconds in ((plain, 3, 60), (mixed, 1, 120)):
        bench.folder(run).mkdir(parents=True)
        bench.log(run, 'train').write_text(
            'Iter(train) [   0/4]  time: 9.0\n'
            f'Iter(train) [   {step}/4]  lr: 1  time: {seconds}.0  data_time: 0.1\n'
        )
    look.look([plain, mixed], [later])
    # 1 step of 60 s, 3 of 120 s, 4 of the 90 s that are usual: 780 s on two processes.
    assert (look.done, look.left) == (4, '6 min left')
    assert outlook.in_words(3 * 3600 + 25 * 60) == '3 h 25 min left'


def test_time_that_is_up_leaves_the_rest_for_later(bench, missing, scripts):
    extra, commands = scripts
    late = runner.Runner(bench, missing, 2, until=time.monotonic())
    late.run()
    assert late.left == [run.name for run in missing] and commands == [] == late.jobs
    on_time = runner.Runner(bench, missing, 2, until=time.monotonic() + 3600)
    on_time.run()
    assert on_time.left == [] and bench.plan(missing) == []


def test_a_run_in_progress_is_stopped_and_goes_on(bench, missing, scripts, monkeypatch):
    extra, commands = scripts
    extra[missing[0].name] = 'time.sleep(600)'
    stopped = runner.Runner(bench, missing, 1)
    begun = []

    def say(run, text):  # when it has begun, time is up
        begun.append(run.name)
        stopped.until = 0.0

    monkeypatch.setattr(stopped, '_say', say)
    stopped.run()
    assert begun == [missing[0].name] and stopped.left == [run.name for run in missing]
    assert stopped.jobs[0].process.poll() is not None
    del extra[missing[0].name]
    assert run_all(bench, missing) == {} and bench.plan(missing) == []
