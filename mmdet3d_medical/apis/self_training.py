"""Training in rounds: a detector marks unlabeled scans, and a run goes on around its marks."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mmdet3d_medical.utils.checkpoints import part_of, read_checkpoint, tested_part, weights_in
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import in_progress
from mmdet3d_medical.utils.processes import STEPS_LOCK, launch, lock_folder, tail

from .checkpoint import save_weights, trained_checkpoint
from .options import candidate_steps, datasets_in
from .setup import Setup

NOTE = 'self_training.json'


@dataclass(frozen=True)
class SelfTraining:
    """A semi-supervised config whose unlabeled patches lie around marks, trained in rounds.

    Attributes:
        setup: The config, and how it is trained and tested.
        start: Checkpoint of the detector that the first round starts from.
        work: Folder of all rounds.
    """

    setup: Setup
    start: Path
    work: Path

    @cached_property
    def unlabeled(self) -> tuple[str, Mapping[str, Any]]:
        """Dotted key and config of the data set whose patches lie around marks.

        Raises:
            UsageError: Unless there is one.
        """
        parts = datasets_in(self.setup.config.train_dataloader.dataset, 'train_dataloader.dataset')
        found = [(key, dataset) for key, dataset in parts if candidate_steps(dataset)]
        if len(found) != 1:
            raise UsageError(
                f'{self.setup.path}: expected LoadCandidates in the pipeline of one data set, that '
                f'of the unlabeled scans, found it in {len(found)}: give a detector with '
                '--semi phantom confident_pseudo_labels, or candidates with another method'
            )
        return found[0]

    def folder(self, number: int) -> Path:
        return self.work / f'round{number}'

    def marks(self, number: int) -> Path:
        """What a round's start found in the unlabeled scans; there whole or not at all."""
        return self.folder(number) / 'candidates.csv'

    def checkpoint(self, number: int) -> Path | None:
        """The last checkpoint of a round that is trained to its end; of round 0 the start."""
        if number == 0:
            return self.start
        return trained_checkpoint(self.folder(number), self.setup.config.train_cfg.max_iters)

    def mark_command(self, number: int) -> list[str]:
        """Find marks in the unlabeled scans with the detector of the round before."""
        _, dataset = self.unlabeled
        part = 'test_dataloader.dataset'
        source = {f'{part}.{name}': dataset.get(name) for name in ('data_root', 'split', 'subsets')}
        source[f'{part}.ann_file'] = dataset.get('ann_file', 'index.json')
        for name, value in (dataset.get('metainfo') or {}).items():
            source[f'{part}.metainfo.{name}'] = value
        return self.setup.test_command(
            self.checkpoint(number - 1),
            self.folder(number),
            in_progress(self.marks(number)),
            source,
        )

    def start_of(self, number: int) -> Path:
        """What a round starts from: the detector that made its marks.

        Where the round before tested an average, that one is written as a plain checkpoint, as
        ``load_from`` of the whole takes the detector beside it.
        """
        checkpoint = self.checkpoint(number - 1)
        content = read_checkpoint(checkpoint, 'cpu')
        part = tested_part(content)
        if part == 'student':
            return checkpoint
        plain = self.folder(number) / 'start.pth'
        weights = part_of(weights_in(content, str(checkpoint)), part)
        save_weights(plain, weights, content.get('meta'))
        return plain

    def train_command(self, number: int) -> list[str]:
        """Train on from the detector of the round before, around its marks."""
        key, dataset = self.unlabeled
        options = {
            f'{key}.pipeline.{step}.marks': self.marks(number) for step in candidate_steps(dataset)
        }
        options['load_from'] = self.start_of(number)
        return self.setup.train_command(self.folder(number), options)

    def run(self, rounds: int) -> Path:
        """Do what is not done yet of so many rounds.

        Returns:
            The last round's checkpoint.

        Raises:
            UsageError: If no patches of the config lie around marks, the folder is of another
                self-training, or a run or test ends with an error.
            BusyError: If another process works in the folder.
        """
        _ = self.unlabeled
        with lock_folder(self.work, STEPS_LOCK) as lock:
            if not self.marks(1).is_file():  # nothing is done that another start could mix with
                (self.work / NOTE).unlink(missing_ok=True)
            self.setup.claim(self.work / NOTE, 'self-training', start=_identity(self.start))
            for number in range(1, rounds + 1):
                self._run_round(number, lock)
        return self.checkpoint(rounds)

    def _run_round(self, number: int, lock) -> None:
        folder, marks = self.folder(number), self.marks(number)
        folder.mkdir(exist_ok=True)
        mark = self.mark_command(number)
        if self.checkpoint(number) is None and not marks.is_file():
            print(f'round {number}: marks unlabeled scans, see {folder / "test.log"}', flush=True)
            _finish(mark, folder / 'test.log', lock)
            in_progress(marks).replace(marks)
        if self.checkpoint(number) is None:
            print(f'round {number}: trains, see {folder / "train.log"}', flush=True)
            _finish(self.train_command(number), folder / 'train.log', lock)
            if self.checkpoint(number) is None:
                raise UsageError(
                    f'the training left no last checkpoint in {folder}: does '
                    'default_hooks.checkpoint save the last iteration there?'
                )


def _identity(checkpoint: Path) -> str:
    """Path and hash: a detector that is trained anew is another start."""
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:16]
    return f'{checkpoint.resolve()} ({digest})'


def _finish(command: list[str], log: Path, lock) -> None:
    process: subprocess.Popen = launch(command, log, lock, os.environ)
    try:
        status = process.wait()
    finally:
        process.terminate()
        process.wait()  # as long as it lives it holds the lock
    if status:
        last = (tail(log).strip().splitlines() or [''])[-1]
        raise UsageError(
            f'exit status {status}, see {log}: {last}\nGive the same command again '
            'when it is put right: what is finished stays'
        )
