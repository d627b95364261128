"""What is wrong in a config is said before anything is built from it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from mmdet3d_medical.utils.errors import UsageError

OF_RUNNER = {*inspect.signature(Runner.__init__).parameters} - {'self', 'cfg'}
# Those that its other methods ask the config for.
ALSO_READ = {'custom_imports', 'find_unused_parameters', 'compile', 'efficient_conv_bn_eval'}
KNOWN = OF_RUNNER | ALSO_READ
OBJECTS = (
    'model',
    'train_cfg',
    'val_cfg',
    'test_cfg',
    'optim_wrapper',
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'default_hooks',
    'env_cfg',
    'randomness',
)
TEXTS = ('work_dir', 'load_from', 'default_scope', 'log_level')
CLOSE = 0.85  # as difflib has it: one letter more, less or exchanged
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def check_keys(cfg: Config) -> None:
    """Refuse misspelled keys of the runner; others may be variables of the config.

    Raises:
        UsageError: Naming the key and the one that was meant.
    """
    for key in cfg.keys() - KNOWN:
        meant = get_close_matches(key, KNOWN, 1, CLOSE)
        is_numbered = key.rstrip('_0123456789') in KNOWN
        if meant and abs(len(key) - len(meant[0])) <= 1 and not is_numbered:
            raise UsageError(f'{cfg.filename}: nothing reads {key!r}. Did you mean {meant[0]!r}?')


def check_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Refuse ``--cfg-options`` that nothing reads, or that are misspelled.

    Raises:
        UsageError: Naming the option and, where one is close, the one that was meant.
    """
    for option in options:
        first, *rest = option.split('.')
        if first not in cfg and first not in KNOWN:
            raise UsageError(
                f'--cfg-options {option}: {cfg.filename} has no {first!r}'
                + _did_you_mean(first, KNOWN | cfg.keys(), 0.6)
            )
        _check_path(option, cfg.get(first), rest)


def _check_path(option: str, node: Any, parts: list[str]) -> None:
    for part in parts:
        if isinstance(node, Mapping) and part not in node:
            hint = _did_you_mean(part, node.keys(), CLOSE)
            if hint:
                raise UsageError(f'--cfg-options {option}: there is no {part!r}{hint}')
        node = node.get(part) if isinstance(node, Mapping) else _item(node, part)


def _item(node: Any, part: str) -> Any:
    inside = isinstance(node, (list, tuple)) and part.isdigit() and int(part) < len(node)
    return node[int(part)] if inside else None


def _did_you_mean(key: str, known: Any, cutoff: float) -> str:
    meant = get_close_matches(key, [str(other) for other in known], 1, cutoff)
    return f'. Did you mean {meant[0]!r}?' if meant else ''


def _check_batches(cfg: Config) -> None:
    """A sampler of several sources counts in batches of its own."""
    loader = cfg.get('train_dataloader') or {}
    size, counted = loader.get('batch_size'), (loader.get('sampler') or {}).get('batch_size')
    if counted is not None and counted != size:
        raise UsageError(
            f'{cfg.filename}: train_dataloader.batch_size is {size}, but its sampler divides '
            f'batches of {counted} among labeled and unlabeled scans: set '
            'train_dataloader.sampler.batch_size too'
        )


def _check_teacher(cfg: Config) -> None:
    """An average that no hook moves makes targets, and is tested, as it was at first."""
    model = cfg.get('model') or {}
    teacher = (model.get('teacher') or {}).get('type', '').rpartition('.')[-1]
    hooks = {hook.get('type', '').rpartition('.')[-1] for hook in cfg.get('custom_hooks') or []}
    if teacher == 'EMATeacher' and not hooks & {'SemiSupervisedHook', 'TeacherHook'}:
        raise UsageError(
            f'{cfg.filename}: nothing moves the teacher of the model: add '
            "dict(type='SemiSupervisedHook') to custom_hooks"
        )


def check_values(cfg: Config) -> None:
    """Refuse numbers that no training or test can work with.

    Raises:
        UsageError: Naming the key, what was expected and what was found.
    """
    for key in OBJECTS:
        value = cfg.get(key)
        _expect(cfg, key, value, value is None or isinstance(value, Mapping), 'a dict')
    for key in TEXTS:
        value = cfg.get(key)
        _expect(cfg, key, value, value is None or isinstance(value, str), 'text')
    for loader in LOADERS:
        for key, value in _named('batch_size', cfg.get(loader), loader):
            _expect(cfg, key, value, isinstance(value, int) and value >= 1, 'an integer above 0')
        for key, value in _named('num_workers', cfg.get(loader), loader):
            _expect(cfg, key, value, isinstance(value, int) and value >= 0, 'an integer, 0 or more')
    _check_batches(cfg)
    _check_teacher(cfg)
    for key in ('max_iters', 'max_epochs', 'val_interval'):
        value = (cfg.get('train_cfg') or {}).get(key)
        _expect(
            cfg,
            f'train_cfg.{key}',
            value,
            value is None or isinstance(value, int) and value >= 1,
            'an integer above 0',
        )
    for key, value in _named('seed', cfg.get('randomness'), 'randomness'):
        right = value is None or isinstance(value, int) and 0 <= value < 2**32
        _expect(cfg, key, value, right, 'an integer from 0 to 4294967295')
    for key, value in _named('interval', cfg.get('default_hooks'), 'default_hooks'):
        _expect(cfg, key, value, isinstance(value, int), 'an integer')
    for key, value in _named('lr', cfg.get('optim_wrapper'), 'optim_wrapper'):
        number = isinstance(value, (int, float)) and 0 <= value < float('inf')
        _expect(cfg, key, value, number, 'a number, 0 or more')


def _expect(cfg: Config, key: str, value: Any, right: bool, expected: str) -> None:
    if not right or isinstance(value, bool):
        raise UsageError(f'{cfg.filename}: {key} is {value!r}, expected {expected}')


def _named(name: str, node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Dotted key and value of everything of a name in a config."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == name:
                yield f'{path}.{key}', value
            yield from _named(name, value, f'{path}.{key}')
