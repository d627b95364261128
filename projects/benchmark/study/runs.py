"""Runs of a benchmark: one training and its test, with a folder and a result of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmdet3d_medical.apis import load_config
from mmdet3d_medical.apis.checkpoint import trained_checkpoint
from mmdet3d_medical.apis.options import candidate_steps, datasets_in
from mmdet3d_medical.evaluation.marks import read_marks
from mmdet3d_medical.utils.checkpoints import read_checkpoint
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import write_json

from .data import BenchmarkData
from .results import Results
from .scores import Score, score_marks, score_name
from .table import Run, Setting

SIZES = {'max_iters', 'size', 'batch_size', 'num_workers', 'persistent_workers', 'interval'}
TRAINING = ('model', 'train_dataloader', 'optim_wrapper', 'param_scheduler', 'custom_hooks')


@dataclass(frozen=True)
class Bench:
    """Where runs find what they need, and leave what they give.

    Attributes:
        tools: Folder of ``train.py`` and ``test.py``; configs are named from its parent.
        data: The data set.
        root: Where it is.
        scored_on: The part of it that is scored.
        work: Folder of logs and checkpoints.
        results: What is kept of finished runs.
        shrink: Whether runs are tiny, to see that a table can be run: ``tools/train.py --shrink``.
    """

    tools: Path
    data: BenchmarkData
    root: Path
    scored_on: str
    work: Path
    results: Results
    shrink: bool = False

    def folder(self, run: Run) -> Path:
        return self.work / run.name

    def log(self, run: Run, what: str) -> Path:
        """What the last 'train' or 'test' printed, and those before."""
        return self.folder(run) / f'{what}.log'

    def config(self, setting: Setting) -> Config:
        return load_config(
            self.config_path(setting),
            options=self.options(setting),
            semi=setting.semi,
            small=self.shrink,
        )

    def options(self, setting: Setting) -> dict[str, Any]:
        """Options of a setting, less those that would undo its shrinking."""
        return {
            key: value
            for key, value in setting.options.items()
            if not (self.shrink and key.rpartition('.')[-1] in SIZES)
        }

    def config_path(self, setting: Setting) -> str:
        return str(self.tools.parent / setting.config)

    def steps(self, run: Run) -> int:
        return self.config(run.setting).train_cfg.max_iters

    def checkpoint(self, run: Run) -> Path | None:
        """The last checkpoint of a run that is trained to its end."""
        return trained_checkpoint(self.folder(run), self.steps(run))

    def candidates(self, run: Run) -> Path:
        """What a run's detector found in the unlabeled scans, complete once it is there."""
        return self.folder(run) / 'candidates.csv'

    def new_candidates(self, run: Run) -> Path:
        """Where they are written, to be renamed when they are complete."""
        return self.folder(run) / 'new_candidates.csv'

    def lacks_candidates(self, run: Run) -> bool:
        """Whether a run cuts patches around candidates of its start that are yet to be found.

        Raises:
            UsageError: If it starts from no other run.
        """
        dataset = self.config(run.setting).train_dataloader.dataset
        if not any(candidate_steps(part) for _, part in datasets_in(dataset, '')):
            return False
        if run.start is None:
            raise UsageError(
                f'{run.name} cuts patches around candidates: give the row a start, '
                'whose detector finds them'
            )
        return not self.candidates(run.start).is_file()

    def plan(self, runs: Iterable[Run]) -> list[Run]:
        """What is to be run for results of all these, each after what it starts from."""
        planned: dict[str, Run] = {}

        def add(run: Run, has: Callable[[Run], Any]) -> None:
            if run.name not in planned and not has(run):
                for needed in run.needed if not self.checkpoint(run) else ():
                    add(needed, self.checkpoint)
                planned[run.name] = run

        for run in runs:
            add(run, self.results.find)
        return list(planned.values())

    def describe(self, run: Run) -> dict:
        """What decides a run, as plain values. ``settings`` is a hash of the whole config."""
        setting, start = run.setting, run.start
        teachers = dict(teachers=[one.name for one in run.teachers]) if run.teachers else {}
        return dict(
            row=setting.name,
            seed=run.seed,
            config=setting.config,
            semi=list(setting.semi),
            options=dict(setting.options),
            amp=setting.amp,
            start=start.name if start else None,
            data=self.data.name,
            settings=self._settings_hash(setting),
            **teachers,
        )

    def _settings_hash(self, setting: Setting | None) -> str:
        if setting is None:
            return ''
        cfg = self.config(setting).to_dict()
        parts = {name: cfg.get(name) for name in TRAINING}
        parts |= dict(steps=cfg['train_cfg']['max_iters'], start=self._settings_hash(setting.start))
        if setting.teachers:
            parts['teachers'] = self._settings_hash(setting.teachers.setting)
        text = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def check(self, runs: Iterable[Run]) -> list[str]:
        """Refuse results of other rows than the table has now.

        Returns:
            list[str]: Names of runs that were made when their config had other values.

        Raises:
            UsageError: Naming the result and what differs.
        """
        outdated = []
        for run in runs:
            result = self.results.find(run)
            asked = self.describe(run) | dict(scored_on=self.scored_on)
            differ = _differences(result, asked) | self._other_rates(result)
            if set(differ) == {'settings'}:
                outdated.append(run.name)
            elif differ:
                raise UsageError(_made_otherwise(self.results.file(run), differ, 'its line'))
        return outdated

    def _other_rates(self, result: Mapping[str, Any] | None) -> dict[str, tuple]:
        """The rates of a result and those of the data set, where they differ."""
        if not result or 'failure' in result:
            return {}
        made, asked = Score.from_dict(result).rates, self.data.rates
        return {} if made == asked else dict(rates=(made, asked))

    def claim(self, run: Run) -> None:
        """Note what a run's folder is for, or refuse the folder of a run that was another.

        Raises:
            UsageError: Naming the folder and what differs.
        """
        note, asked = self._note(run), self.describe(run)
        made = json.loads(note.read_text()) if note.is_file() else None
        differ = _differences(made, asked)
        if differ:
            raise UsageError(_made_otherwise(note, differ, f'the folder {note.parent}'))
        write_json(note, asked)

    def _note(self, run: Run) -> Path:
        return self.folder(run) / 'run.json'

    def record(self, run: Run) -> None:
        """Keep what a run's marks are worth, and their hash; they stay in its folder."""
        marks = self.folder(run) / 'marks.csv'
        score = score_marks(read_marks(marks), self.data.truth(self.scored_on, self.root))
        self._keep(
            run,
            **score.to_dict(),
            marks=hashlib.sha256(marks.read_bytes()).hexdigest()[:16],
            steps=self.steps(run),
            **on_device(),
            seconds=round(training_seconds(self.checkpoint(run)), 1),
        )

    def record_failure(self, run: Run, reason: str) -> None:
        """Keep why a run cannot come to an end."""
        self._keep(run, failure=reason)

    def _keep(self, run: Run, **found: Any) -> None:
        made = json.loads(self._note(run).read_text())
        self.results.keep(run, {**made, 'scored_on': self.scored_on, **found})

    def summary(self, run: Run) -> str:
        """A finished run in a line."""
        result = self.results.find(run)
        if 'failure' in result:
            return f'failed: {result["failure"]}'
        minutes = result['seconds'] / 60
        name = score_name(Score.from_dict(result).rates)
        return f'{name} {result["cpm"]:.3f}, {result["steps"]} steps in {minutes:.1f} min'


def on_device() -> dict[str, str]:
    """``device``, where runs are on a GPU; results of before there was this key are of CPUs."""
    return dict(device=torch.cuda.get_device_name()) if torch.cuda.is_available() else {}


def training_seconds(checkpoint: Path) -> float:
    """Wall time of the steps that led to a checkpoint, those lost to interruptions left out."""
    content = read_checkpoint(checkpoint)
    times, _ = content['message_hub']['log_scalars']['train/time'].data
    return float(times.sum())


def _differences(made: Mapping[str, Any] | None, asked: Mapping[str, Any]) -> dict[str, tuple]:
    """By name what was made and what is asked for, where they differ; {} where nothing was."""
    if made is None:
        return {}
    return {key: (made.get(key), value) for key, value in asked.items() if made.get(key) != value}


def _made_otherwise(path: Path, differ: Mapping[str, tuple], what: str) -> str:
    values = '; '.join(f'{key} {made!r}, now {asked!r}' for key, (made, asked) in differ.items())
    return (
        f'{path} is of another run: {values}. Restore the table or the config, or delete '
        f'{what} to run it again'
    )
