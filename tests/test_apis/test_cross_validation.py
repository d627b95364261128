"""Folds of a cross-validation, with short scripts in the place of training and testing."""

import json
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import lock_descriptor

from mmdet3d_medical.apis import cross_validation
from mmdet3d_medical.apis.cross_validation import CrossValidation, run_folds
from mmdet3d_medical.apis.setup import Setup
from mmdet3d_medical.datasets import write_index
from mmdet3d_medical.evaluation.functional import froc
from mmdet3d_medical.evaluation.marks import read_findings, read_marks, read_scan_ids
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.processes import STEPS_LOCK, lock_folder

GEOMETRY = dict(
    origin=[0, 0, 0], spacing=[1, 1, 1], direction=[1, 0, 0, 0, 1, 0, 0, 0, 1], shape=[8, 8, 8]
)
TRAIN = """
import pathlib, sys
folder = pathlib.Path({folder!r})
with (folder / 'trained').open('a') as file:
    file.write('x')
{extra}
(folder / 'iter_4.pth').touch()
(folder / 'last_checkpoint').write_text('iter_4.pth')
"""
TEST = """
import pathlib
pathlib.Path({folder!r}, 'unfinished_marks.csv').write_text(
    'seriesuid,coordX,coordY,coordZ,probability,diameter_mm\\nscan{fold},1,2,3,0.{fold}5,5\\n')
"""


def write_config(root, base='retina3d/retina3d_fpn_phantom.py', more='') -> str:
    path = root / 'config.py'
    path.write_text(f"""
_base_ = 'mmdet3d_medical::{base}'
train_cfg = dict(max_iters=4, val_interval=4)
test_dataloader = dict(dataset=dict(data_root={str(root)!r}))
{more or f'train_dataloader = dict(dataset=dict(data_root={str(root)!r}))'}
""")
    return str(path)


def write_data(root, subsets=(0, 1, 3)) -> None:
    """A nodule that the scripts find, and one to ignore, in each scan."""
    lesions = [
        dict(center=[1.0, 2.0, 3.0], diameter=5.0),
        dict(center=[50.0, 0.1, 0.0], diameter=7.0, ignore=True),
    ]
    scans = [
        dict(
            scan_id=f'scan{k}',
            subset=k,
            annotated=True,
            volume='none.npy',
            geometry=GEOMETRY,
            instances=lesions,
        )
        for k in subsets
    ]
    write_index(
        root / 'index.json', dict(classes=['nodule'], spacing=None, settings={}, scans=scans)
    )


@pytest.fixture
def validation(tmp_path, monkeypatch):
    """Three folds, whose runs do what is in ``extra`` besides."""
    write_data(tmp_path)
    extra = {}

    def script(text):
        return lambda self, fold: [
            sys.executable,
            '-S',
            '-c',
            text.format(folder=str(self.folder(fold)), fold=fold, extra=extra.get(fold, '')),
        ]

    monkeypatch.setattr(CrossValidation, 'train_command', script(TRAIN))
    monkeypatch.setattr(CrossValidation, 'test_command', script(TEST))
    made = CrossValidation(Setup(write_config(tmp_path)), tmp_path / 'work')
    return made, extra


def test_folds_are_pooled_and_scored_as_one(validation):
    validation, _ = validation
    validation.claim()
    assert validation.subsets == validation.unfinished() == [0, 1, 3]
    assert run_folds(validation, [3], workers=1) == {}
    assert validation.unfinished() == [0, 1]
    assert run_folds(validation, validation.subsets, workers=2) == {}
    assert validation.unfinished() == []
    marks, _, annotations, _, excluded, _, scans = validation.pool()
    result = froc(
        read_scan_ids(scans), read_marks(marks), read_findings(annotations), read_findings(excluded)
    )
    assert (result.scans, result.tp, result.fp, result.fn) == (3, 3, 0, 0)
    assert read_marks(marks).scores.tolist() == [0.05, 0.15, 0.35]
    assert read_findings(excluded).centers.tolist() == [[50, 0.1, 0]] * 3


def test_marks_of_classes_are_pooled_with_those_of_a_fold_without_any(validation):
    """A file without marks names no column of classes."""
    validation, _ = validation
    columns = 'seriesuid,coordX,coordY,coordZ,probability,diameter_mm'
    for fold, text in enumerate(
        (
            f'{columns}\n',
            f'{columns},class\nscan1,1,2,3,0.5,5,cyst\n',
            f'{columns},class\nscan3,1,2,3,0.25,,tumor\n',
        )
    ):
        path = validation.marks((0, 1, 3)[fold])
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert Path(validation.pool()[0]).read_text().splitlines() == [
        f'{columns},class',
        'scan1,1.0000,2.0000,3.0000,0.5,5.0000,cyst',
        'scan3,1.0000,2.0000,3.0000,0.25,,tumor',
    ]


@pytest.mark.tried(
    'faults',
    'marks of a fold that another program cut off',
    'not pooled: an error naming file and line',
)
def test_marks_that_were_cut_off_are_not_pooled(validation):
    validation, _ = validation
    assert run_folds(validation, validation.subsets, workers=1) == {}
    validation.pool()
    before = (validation.work / 'marks.csv').read_bytes()
    marks = validation.marks(1)
    marks.write_text(marks.read_text()[: -len(',3,0.15,5\n')])
    with pytest.raises(ValueError, match=f'{marks}, line 2'):
        validation.pool()
    assert (validation.work / 'marks.csv').read_bytes() == before


def test_what_is_done_is_not_done_again(validation):
    validation, extra = validation
    extra[1] = 'sys.exit("no good")'
    errors = run_folds(validation, [0, 1], workers=1)
    assert list(errors) == [1] and errors[1].startswith('exit status 1, see ')
    assert errors[1].endswith('train.log: no good')
    assert validation.unfinished() == [1, 3]
    extra.clear()
    validation.marks(0).unlink()
    assert run_folds(validation, [0, 1], workers=2) == {}
    trained = {fold: (validation.folder(fold) / 'trained').read_text() for fold in (0, 1)}
    assert trained == {0: 'x', 1: 'xx'}  # fold 0 was only tested again
    log = (validation.folder(1) / 'train.log').read_text()
    assert log.count(f'$ {sys.executable} -S -c') == 2


def test_a_fold_that_another_process_works_on_is_left_to_it(validation, capsys):
    validation, _ = validation
    with lock_folder(validation.folder(0), STEPS_LOCK):
        assert run_folds(validation, [0, 1], workers=2) == {}
    assert 'fold 0: another process works on it' in capsys.readouterr().out
    assert validation.unfinished() == [0, 3]


def test_another_cross_validation_is_refused(validation, tmp_path):
    validation, _ = validation
    validation.claim()
    validation.claim()
    other = CrossValidation(
        replace(validation.setup, seed=1, options={'optim_wrapper.optimizer.lr': 0.5}),
        validation.work,
    )
    with pytest.raises(UsageError, match='of another cross-validation: .*seed None, now 1'):
        other.claim()
    write_data(tmp_path, subsets=(0, 1))
    smaller = CrossValidation(validation.setup, validation.work)
    with pytest.raises(UsageError, match=r'subsets \[0, 1, 3\], now \[0, 1\]'):
        smaller.claim()


def options_of(command) -> dict:
    options = command[command.index('--cfg-options') + 1 :]
    return dict(option.split('=', 1) for option in options)


def test_a_fold_is_trained_on_the_others_and_tested_on_its_own(tmp_path):
    write_data(tmp_path)
    setup = Setup(write_config(tmp_path), {'model.b': [1, 2]}, amp=True, seed=5)
    made = CrossValidation(setup, tmp_path / 'work')
    command = made.train_command(1)
    assert command[:4] == [sys.executable, '-m', 'mmdet3d_medical', 'train']
    assert {'--amp', '--resume', '5'} <= set(command) and '--launcher' not in command
    options = options_of(command)
    assert options['train_dataloader.dataset.subsets'] == '[0,3]'
    assert options['model.b'] == '[1,2]' and options['val_cfg'] == 'None'
    assert options_of(made.test_command(1))['test_dataloader.dataset.subsets'] == '[1]'
    several = CrossValidation(replace(made.setup, processes=2), made.work).train_command(1)
    assert several[1:5] == ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2']
    assert several[several.index('--launcher') + 1] == 'pytorch'


def test_lists_of_labels_stay_and_other_data_does_not_change(tmp_path):
    write_data(tmp_path)
    more = f"""
sources = [dict(type='LUNA16Dataset', data_root={str(tmp_path)!r}, split='splits/labeled_2.txt'),
           dict(type='LUNA16Dataset', data_root={str(tmp_path)!r}, split='splits/train.txt'),
           dict(type='VolumeDetDataset', data_root='elsewhere', split='splits/train.txt')]
train_dataloader = dict(dataset=dict(_delete_=True, type='MultiSourceDataset', datasets=sources))
"""
    path = write_config(tmp_path, more=more)
    made = CrossValidation(Setup(path), tmp_path / 'w')
    options = options_of(made.train_command(0))
    key = 'train_dataloader.dataset.datasets'
    assert {name: value for name, value in options.items() if name.startswith(key)} == {
        f'{key}.0.subsets': '[1,3]',
        f'{key}.1.subsets': '[1,3]',
        f'{key}.1.split': 'None',
    }


@pytest.mark.parametrize('subsets', [(0,), (0, None)])
def test_data_without_subsets(tmp_path, subsets):
    write_data(tmp_path, subsets=subsets)
    with pytest.raises(
        UsageError, match='expected at least two subsets.*make-splits .*index.json --folds 5'
    ):
        _ = CrossValidation(Setup(write_config(tmp_path)), tmp_path / 'work').subsets


def test_devices_are_dealt_out(monkeypatch):
    assert cross_validation.device_slots(2, 1) == [{}, {}]
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '4,5,6,7')
    assert cross_validation.device_slots(2, 2) == [
        dict(CUDA_VISIBLE_DEVICES='4,5'),
        dict(CUDA_VISIBLE_DEVICES='6,7'),
    ]
    with pytest.raises(UsageError, match='3 workers of 2 processes need as many devices, 6, found'):
        cross_validation.device_slots(3, 2)


def test_the_note_is_plain(validation):
    validation, _ = validation
    validation.claim()
    note = json.loads((validation.work / 'cross_validation.json').read_text())
    assert note['config'] == 'config.py' and note['subsets'] == [0, 1, 3]


def test_processes_end_with_the_caller(validation):
    validation, extra = validation
    extra[0] = 'import time; time.sleep(60)'

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    start = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        with pytest.raises(KeyboardInterrupt):
            run_folds(validation, [0, 1], workers=1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    with (validation.folder(0) / STEPS_LOCK).open('a') as lock:
        lock_descriptor(lock.fileno())  # free when the process has ended
    assert time.monotonic() - start < 30
    assert validation.unfinished() == [0, 1, 3]


@pytest.mark.tried(
    'faults', 'a damaged note of what a folder of folds or rounds is for', 'refused, the file named'
)
@pytest.mark.parametrize('content', [b'', b'[]', b'{', b'null', b'\x00\x80', b'[' * 100000])
def test_a_damaged_note_is_refused(content, tmp_path):
    write_data(tmp_path)
    made = CrossValidation(Setup(write_config(tmp_path)), tmp_path / 'work')
    made.work.mkdir()
    (made.work / 'cross_validation.json').write_bytes(content)
    with pytest.raises(UsageError, match='cross_validation.json is damaged'):
        made.claim()
