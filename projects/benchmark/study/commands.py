"""The commands of a run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mmdet3d_medical.apis.options import candidate_steps, datasets_in, spell_options

from .runs import Bench
from .table import Run

MAX_MARKS = 1000  # in a whole scan: many more than configs keep


def train_command(bench: Bench, run: Run) -> list[str]:
    """Train on the benchmark's data without validation, or go on from the last checkpoint."""
    setting = run.setting
    options = {
        **bench.options(setting),
        **_training_data(bench, run),
        **dict(val_cfg=None, val_dataloader=None, val_evaluator=None),
    }
    if run.start:
        options['load_from'] = bench.checkpoint(run.start)
    if run.teachers:
        options['model.teacher.checkpoints'] = [str(bench.checkpoint(one)) for one in run.teachers]
    return [
        *(sys.executable, str(bench.tools / 'train.py'), bench.config_path(setting)),
        *('--work-dir', str(bench.folder(run)), '--resume', '--seed', str(run.seed)),
        *['--amp'] * setting.amp,
        *['--shrink'] * bench.shrink,
        *_semi(run),
        *('--cfg-options', *spell_options(options)),
    ]


def test_command(bench: Bench, run: Run) -> list[str]:
    """Find marks in the scans that are scored, in ``marks.csv`` of the run's folder."""
    split = bench.data.split(f'{bench.scored_on}.txt', run.seed)
    return _test_command(bench, run, bench.root, split, bench.folder(run) / 'marks.csv')


def candidates_command(bench: Bench, run: Run) -> list[str]:
    """Find candidates in the unlabeled scans, for the runs that start from this one."""
    split = bench.data.split(f'unlabeled_{max(bench.data.unlabeled)}.txt', run.seed)
    return _test_command(bench, run, bench.root, split, bench.new_candidates(run))


def other_scans_command(bench: Bench, run: Run, root: Path, out: Path) -> list[str]:
    """Find up to ``MAX_MARKS`` marks in each scan of another converted data set."""
    wrapped = 'detector' in bench.config(run.setting).model
    key = f'model.{"detector." * wrapped}test_cfg.max_per_scan'
    return _test_command(bench, run, root, None, out, {key: MAX_MARKS})


def _test_command(
    bench: Bench,
    run: Run,
    root: Path,
    split: str | None,
    out: Path,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> list[str]:
    options = {
        **bench.options(run.setting),
        **_source('test_dataloader.dataset', root, split),
        **more,
    }
    return [
        *(sys.executable, str(bench.tools / 'test.py'), bench.config_path(run.setting)),
        *(str(bench.checkpoint(run)), '--work-dir', str(bench.folder(run)), '--out', str(out)),
        *['--shrink'] * bench.shrink,
        *_semi(run),
        *('--cfg-options', *spell_options(options)),
    ]


def _semi(run: Run) -> list[str]:
    fragments = run.setting.semi
    return [*['--semi'] * bool(fragments), *fragments]


def _training_data(bench: Bench, run: Run) -> dict[str, Any]:
    """Options that let a config train on the benchmark's lists of the names that it has."""
    cfg, options = bench.config(run.setting), {}
    for key, dataset in datasets_in(cfg.train_dataloader.dataset, 'train_dataloader.dataset'):
        name = Path(dataset.get('split') or 'train.txt').name
        options |= _source(key, bench.root, bench.data.split(name, run.seed))
        for number in candidate_steps(dataset):
            options[f'{key}.pipeline.{number}.marks'] = bench.candidates(run.start)
    for number, hook in enumerate(cfg.get('custom_hooks') or []):
        if hook.get('ann_file'):
            options[f'custom_hooks.{number}.ann_file'] = bench.root / 'index.json'
    return options


def _source(key: str, root: Path, split: str | None) -> dict[str, Any]:
    return {f'{key}.data_root': root, f'{key}.split': split, f'{key}.subsets': None}
