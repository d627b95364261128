"""Whether a training that was interrupted ends with the weights of one that was not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from study.commands import train_command
from study.data import BenchmarkData
from study.results import Results
from study.runs import Bench
from study.table import Run, Setting

from mmdet3d_medical.datasets.phantom import phantom_settings
from mmdet3d_medical.utils.checkpoints import read_checkpoint, weights_in
from mmdet3d_medical.utils.processes import tail

from .rows import Row, Settings, attempt

ROOT = Path(__file__).resolve().parents[3]
STEPS, STOPPED = 8, 4
METHODS = dict(FocalMix=('phantom', 'focalmix'), supervised=())


def rows(settings: Settings) -> Iterator[Row]:
    """For each kind of training whether the weights are equal, by ``randomness.deterministic``."""
    with TemporaryDirectory() as folder:
        bench = make_bench(Path(folder))
        for method, semi in METHODS.items():
            for deterministic in (True,) if settings.shrink else (True, False):
                what = dict(training=method, deterministic=deterministic)
                run = make_run(f'{method}-{deterministic}', semi, deterministic)
                what |= dict(steps=STEPS, resumed=STOPPED)
                yield attempt(what, partial(_compared, settings, bench, run))


def make_bench(folder: Path) -> Bench:
    """Ten small phantoms, four of them to train on, two with labels."""
    data = BenchmarkData(
        path=folder / 'data.yml',
        name='resume',
        phantom=phantom_settings(shape=(48, 48, 48), spacing=(2.0, 2.0, 2.0)),
        scans=10,
        seed=3,
        spacing=(2.0, 2.0, 2.0),
        subsets=dict(training=[0, 1, 2, 3], validation=[4], test=[5, 6, 7, 8, 9]),
        labeled=(2,),
        unlabeled=(2,),
        draws=1,
        rates=(1.0,),
    )
    data.make(folder / 'data', workers=1)
    results = Results(folder)
    return Bench(ROOT / 'tools', data, folder / 'data', 'test', folder / 'runs', results)


def make_run(name: str, semi: tuple[str, ...], deterministic: bool) -> Run:
    key = 'train_dataloader.dataset'
    lists = {f'{key}.split': 'splits/labeled_2.txt'}
    if semi:
        lists = {
            f'{key}.datasets.labeled.split': 'splits/labeled_2.txt',
            f'{key}.datasets.unlabeled.split': 'splits/unlabeled_2.txt',
        }
    options = {
        **lists,
        'train_cfg.max_iters': STEPS,
        'default_hooks.checkpoint.interval': STOPPED,
        'randomness.deterministic': deterministic,
    }
    config = 'configs/retina3d/retina3d_fpn_phantom.py'
    return Run(Setting('resume', name, config, semi, options, False, None), seed=0)


def _compared(settings: Settings, bench: Bench, run: Run) -> Row:
    folder = bench.folder(run)
    whole = _train(settings, bench, run)
    (folder / f'iter_{STEPS}.pth').unlink()  # as a run that was killed after its first checkpoint
    (folder / 'last_checkpoint').write_text(str(folder / f'iter_{STOPPED}.pth'))
    resumed = _train(settings, bench, run)
    differ = {
        name: (value.double() - resumed[name].double()).abs().max().item()
        for name, value in whole.items()
        if not value.equal(resumed[name])
    }
    return {
        'tensors': len(whole),
        'tensors that differ': len(differ),
        'largest difference': max(differ.values(), default=0.0),
    }


def _train(settings: Settings, bench: Bench, run: Run) -> dict:
    """Train, or go on, to the end; the weights."""
    folder = bench.folder(run)
    log = folder / 'train.log'
    folder.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, 'CUBLAS_WORKSPACE_CONFIG': ':4096:8'}  # cuBLAS repeats itself so alone
    if not settings.on_gpu:
        env['CUDA_VISIBLE_DEVICES'] = ''
    with log.open('a') as file:
        command = train_command(bench, run)
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=env).returncode
    path = folder / f'iter_{STEPS}.pth'
    if code or not path.is_file():
        lines = tail(log).strip().splitlines()
        raise RuntimeError(f'training ended with status {code}: {lines[-1] if lines else ""}')
    return weights_in(read_checkpoint(path), path)
