"""What a training or test is about to do, in a few lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from mmengine.device import get_device
from mmengine.dist import get_world_size
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset

from mmdet3d_medical.datasets import MultiSourceDataset, VolumeDetDataset
from mmdet3d_medical.utils.errors import UsageError

from .options import datasets_in
from .step_plan import batch_of, patch_of


def summarize_training(runner: Runner) -> str:
    """Config, data, model and steps of a training whose parts are built."""
    cfg = runner.cfg
    labeled, unlabeled = batch_of(cfg)
    batch = f'{labeled} + {unlabeled} unlabeled' if unlabeled else labeled
    steps = f'{runner.max_iters}' + (f', goes on after {runner.iter}' if runner.iter else '')
    return _text(
        'Training',
        [
            *_places(runner),
            *(('data', line) for line in _data(runner.train_dataloader)),
            *_validation(runner),
            ('patch', _patch(runner)),
            ('batch', f'{batch} patches' + _processes()),
            ('steps', steps),
            *_machine(runner),
        ],
    )


def summarize_test(runner: Runner) -> str:
    """Config, data and model of a test whose parts are built."""
    data = [('data', line) for line in _data(runner.test_dataloader)]
    checkpoint = [('checkpoint', runner.cfg.load_from)] if runner.cfg.get('load_from') else []
    return _text('Testing', [*_places(runner), *checkpoint, *data, *_machine(runner)])


def _text(title: str, rows: Iterable[tuple[str, object]]) -> str:
    return '\n'.join([title, *(f'  {name:<11}{value}' for name, value in rows)])


def _places(runner: Runner) -> list[tuple[str, object]]:
    return [
        ('config', runner.cfg.filename),
        ('work dir', runner.work_dir),
        ('full log', runner.logger.log_file),
    ]


def _machine(runner: Runner) -> list[tuple[str, object]]:
    number = sum(weight.numel() for weight in runner.model.parameters() if weight.requires_grad)
    device = get_device()
    name = f' ({torch.cuda.get_device_name()})' if device == 'cuda' else ''
    return [
        ('model', f'{runner.model_name}, {number / 1e6:.2f} M parameters'),
        ('device', device + name),
    ]


def _data(loader: DataLoader) -> Iterator[str]:
    """A line for each source of scans."""
    dataset = loader.dataset
    parts = dataset.datasets if isinstance(dataset, MultiSourceDataset) else [dataset]
    for part in parts:
        yield _describe(part)


def _describe(dataset: Dataset) -> str:
    if not isinstance(dataset, VolumeDetDataset):
        return f'{len(dataset)} samples of {type(dataset).__name__}'
    lesions = [
        sum(not lesion['ignore'] for lesion in scan['instances'])
        for scan in dataset.scans
        if scan['annotated']
    ]
    rest = f', {len(dataset) - len(lesions)} of them not annotated'
    chosen = dataset.split if isinstance(dataset.split, str) else ''
    return (
        f'{_count(len(dataset), "scan")}, {_count(sum(lesions), "lesion")}'
        f'{rest if len(lesions) < len(dataset) else ""} '
        f'({dataset.ann_file}{", " * bool(chosen)}{chosen})'
    )


def _validation(runner: Runner) -> Iterator[tuple[str, str]]:
    if runner.val_loop is None:
        yield 'validation', 'none'
        return
    interval, steps = runner.cfg.train_cfg.get('val_interval', 1), runner.max_iters
    every = f', every {interval} steps' if interval < steps else ', at the end'
    yield 'validation', '; '.join(_data(runner.val_dataloader)) + every
    for _, dataset in datasets_in(runner.cfg.val_dataloader, ''):
        if dataset.get('indices') is not None:
            yield '', f'indices={dataset.indices} (--shrink: one scan); test takes all scans'


def _patch(runner: Runner) -> str:
    try:
        return ' x '.join(map(str, patch_of(runner.cfg))) + ' voxels (z, y, x)'
    except UsageError:  # a pipeline without a crop
        return 'whole scans'


def _processes() -> str:
    number = get_world_size()
    return f' in each of {number} processes' if number > 1 else ''


def _count(number: int, name: str) -> str:
    return f'{number} {name}{"s" * (number != 1)}'
