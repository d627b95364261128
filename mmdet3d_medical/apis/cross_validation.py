"""Cross-validation: every subset is tested by a detector that is trained on the others."""

from __future__ import annotations

import csv
import io
import os
import queue
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from mmdet3d_medical.datasets.index import open_index
from mmdet3d_medical.evaluation.marks import Marks, read_marks, write_marks
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import in_progress, staged, write_text
from mmdet3d_medical.utils.processes import STEPS_LOCK, BusyError, launch, lock_folder, tail

from .checkpoint import trained_checkpoint
from .options import datasets_in
from .setup import Setup

FINDING_COLUMNS = ('seriesuid', 'coordX', 'coordY', 'coordZ', 'diameter_mm', 'class')
FULL_LIST = 'train.txt'  # of all scans for training: replaced by the subsets that are not tested


@dataclass(frozen=True)
class CrossValidation:
    """A config, trained and tested once for each subset of its test data's index.

    Attributes:
        setup: The config, and how it is trained and tested.
        work: Folder of all folds.
    """

    setup: Setup
    work: Path

    @cached_property
    def scans(self) -> list[dict]:
        """Annotated scans of the index, which have a subset.

        Raises:
            UsageError: If one has none, or there are fewer than two subsets.
        """
        index = _index_of(self.setup.config.test_dataloader.dataset)
        scans = [scan for scan in open_index(index)['scans'] if scan['annotated']]
        subsets = {scan.get('subset') for scan in scans}
        if None in subsets or len(subsets) < 2:
            raise UsageError(
                f'{index}: expected at least two subsets, and every annotated scan in '
                f'one of them, found the subsets {sorted(subsets, key=str)}. Write some into the '
                f'index: mmdet3d-medical make-splits {index} --folds 5'
                + ' --overwrite-subsets'
                * (subsets != {None})
            )
        return scans

    @cached_property
    def classes(self) -> list[str]:
        return open_index(_index_of(self.setup.config.test_dataloader.dataset))['classes']

    @property
    def subsets(self) -> list[int]:
        return sorted({scan['subset'] for scan in self.scans})

    def folder(self, fold: int) -> Path:
        return self.work / f'fold{fold}'

    def marks(self, fold: int) -> Path:
        """What a finished fold found; there whole or not at all."""
        return self.folder(fold) / 'marks.csv'

    def unfinished(self) -> list[int]:
        return [fold for fold in self.subsets if not self.marks(fold).is_file()]

    def checkpoint(self, fold: int) -> Path | None:
        """The last checkpoint of a fold that is trained to its end."""
        return trained_checkpoint(self.folder(fold), self.setup.config.train_cfg.max_iters)

    def claim(self) -> None:
        """Note what the folder is for, or refuse one of another cross-validation.

        Raises:
            UsageError: Naming the folder and what differs.
        """
        self.setup.claim(
            self.work / 'cross_validation.json', 'cross-validation', subsets=self.subsets
        )

    def train_command(self, fold: int) -> list[str]:
        """Train on the other subsets, or go on from the last checkpoint."""
        own = _index_of(self.setup.config.test_dataloader.dataset)
        options = {}
        for key, dataset in datasets_in(
            self.setup.config.train_dataloader.dataset, 'train_dataloader.dataset'
        ):
            if _index_of(dataset) == own:
                options[f'{key}.subsets'] = [other for other in self.subsets if other != fold]
                if Path(dataset.get('split') or '').name == FULL_LIST:
                    options[f'{key}.split'] = None
        return self.setup.train_command(self.folder(fold), options)

    def test_command(self, fold: int) -> list[str]:
        """Find marks in the subset that was left out."""
        dataset = 'test_dataloader.dataset'
        options = {f'{dataset}.split': None, f'{dataset}.subsets': [fold]}
        return self.setup.test_command(
            self.checkpoint(fold), self.folder(fold), in_progress(self.marks(fold)), options
        )

    def pool(self) -> list[str]:
        """Put the marks of all folds into one file, and beside it what they are scored against.

        Returns:
            Arguments of ``eval_froc.py`` for these files.

        Raises:
            ValueError: Naming file and line, if marks are not as ``test.py`` writes them.
        """
        files = {
            name: self.work / f'{name}.csv'
            for name in ('marks', 'annotations', 'excluded', 'seriesuids')
        }
        parts = [read_marks(self.marks(fold)) for fold in self.subsets]
        marks = Marks.from_rows(row for part in parts for row in zip(*part, strict=True))
        with staged(self.work) as folder:
            write_marks(folder / 'marks.csv', marks)
            for name, ignored in (('annotations', False), ('excluded', True)):
                rows = [FINDING_COLUMNS, *self._findings(ignored)]
                write_text(folder / f'{name}.csv', _as_csv(rows))
            scans = [[scan['scan_id']] for scan in self.scans]
            write_text(folder / 'seriesuids.csv', _as_csv(scans))
        return [
            str(files['marks']),
            *(
                text
                for name in ('annotations', 'excluded', 'seriesuids')
                for text in (f'--{name}', str(files[name]))
            ),
        ]

    def _findings(self, ignored: bool) -> Iterator[list]:
        names = self.classes if len(self.classes) > 1 else ['']
        for scan in self.scans:
            for lesion in scan['instances']:
                if bool(lesion['ignore']) == ignored:
                    yield [
                        scan['scan_id'],
                        *lesion['center'],
                        lesion['diameter'],
                        names[lesion['label']],
                    ]


def run_folds(validation: CrossValidation, folds: Iterable[int], workers: int) -> dict[int, str]:
    """Train and test folds, several at once; on any exception stop all processes first.

    Finished steps are left out, and an interrupted training goes on from its last checkpoint. A
    fold's folder is locked as long as a process works there, so several calls may share folders;
    a fold that another one works on is left to it.

    Returns:
        dict[int, str]: What went wrong, by fold.
    """
    slots, processes, errors = queue.Queue(), [], {}
    for slot in device_slots(workers, validation.setup.processes):
        slots.put(slot)

    def run(fold: int) -> None:
        slot = slots.get()
        env = {**os.environ, **slot}
        try:
            with lock_folder(validation.folder(fold), STEPS_LOCK) as lock:
                _run_fold(validation, fold, lambda *args: _finish(*args, lock, env, processes))
        except BusyError:
            _say(fold, 'another process works on it')
        except RuntimeError as error:
            errors[fold] = str(error)
            _say(fold, f'ERROR: {error}')
        finally:
            slots.put(slot)

    pool = ThreadPoolExecutor(workers)
    try:
        for _ in pool.map(run, folds):
            pass
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
    return errors


def device_slots(workers: int, processes: int) -> list[dict[str, str]]:
    """What tells each worker its devices; nothing without accelerators.

    Raises:
        UsageError: If there are fewer devices than processes.
    """
    if not torch.cuda.is_available():
        return [{}] * workers
    visible = os.environ.get('CUDA_VISIBLE_DEVICES')
    devices = visible.split(',') if visible else [str(n) for n in range(torch.cuda.device_count())]
    if len(devices) < workers * processes:
        raise UsageError(
            f'{workers} workers of {processes} processes need as many devices, '
            f'{workers * processes}, found {len(devices)}'
        )
    parts = [devices[n * processes : (n + 1) * processes] for n in range(workers)]
    return [dict(CUDA_VISIBLE_DEVICES=','.join(part)) for part in parts]


def _run_fold(validation: CrossValidation, fold: int, finish) -> None:
    folder, marks = validation.folder(fold), validation.marks(fold)
    if marks.is_file():
        return
    if validation.checkpoint(fold) is None:
        _say(fold, f'trains, see {folder / "train.log"}')
        finish(validation.train_command(fold), folder / 'train.log')
        if validation.checkpoint(fold) is None:
            raise RuntimeError(f'the training left no last checkpoint in {folder}')
    _say(fold, f'is tested, see {folder / "test.log"}')
    finish(validation.test_command(fold), folder / 'test.log')
    in_progress(marks).replace(marks)


def _finish(command: Sequence[str], log: Path, lock, env, processes: list) -> None:
    """Run a command to its end.

    Raises:
        RuntimeError: If it ends with an error.
    """
    process: subprocess.Popen = launch(command, log, lock, env)
    processes.append(process)
    if process.wait():
        last = tail(log).strip().splitlines()[-1]
        raise RuntimeError(f'exit status {process.returncode}, see {log}: {last}')


def _say(fold: int, text: str) -> None:
    """Print a line at once: several threads do."""
    print(f'fold {fold}: {text}\n', end='', flush=True)


def _index_of(dataset: dict) -> Path:
    return Path(dataset.get('data_root', '')) / dataset.get('ann_file', 'index.json')


def _as_csv(rows: Iterable[Sequence]) -> str:
    text = io.StringIO(newline='')
    csv.writer(text, lineterminator='\n').writerows(rows)
    return text.getvalue()
