"""Reads checkpoints without running what they hold.

A checkpoint is a pickle, and a pickle can call any function. So files are read with
``weights_only=True`` and a list of what our own checkpoints hold, never otherwise unless asked to.
Importing this module puts its loaders in the place of mmengine's, through which the runner,
``load_from``, ``--resume`` and ``init_cfg=dict(type='Pretrained')`` all read.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import barrier, get_rank
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

STATISTICS = ('min', 'max', 'current', 'mean')
OTHER_SCHEMES = (
    'modelzoo://',
    'torchvision://',
    'open-mmlab://',
    'openmmlab://',
    'mmcls://',
    'pavi://',
    r'(\S+\:)?s3://',
    r'(\S+\:)?petrel://',
)
STORED_CODE = ('cfg', 'config')  # texts in `meta` that mmengine would run as Python

_trusted = False


class UntrustedCheckpointError(ValueError):
    """A checkpoint holds more than weights and plain data."""


def trust_checkpoints(trust: bool) -> None:
    """Whether this process reads checkpoints that hold more than plain data, running their code."""
    global _trusted
    _trusted = trust


def read_checkpoint(
    path: str | os.PathLike, map_location: Any = 'cpu', mmap: bool = False
) -> dict[str, Any]:
    """Read a checkpoint file of weights and plain data.

    Args:
        path: The file.
        map_location: As of ``torch.load``.
        mmap: Whether to leave tensors in the file until they are used.

    Raises:
        FileNotFoundError: If there is no such file, or it is a folder, a pipe or a device.
        UntrustedCheckpointError: If it holds other classes or functions; none of them ran.
        ValueError: If it is no checkpoint, or a damaged one.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no checkpoint {path} (looked in {Path.cwd()}). '
            'mmdet3d-medical train writes them as iter_<number>.pth'
        )
    try:
        with torch.serialization.safe_globals(_allowed()):
            content = torch.load(path, map_location, weights_only=not _trusted, mmap=mmap)
    except (MemoryError, torch.OutOfMemoryError, PermissionError):
        raise
    except Exception as error:  # reading what is no checkpoint can raise anything
        raise _refusal(path, error) from None
    if not isinstance(content, dict):
        raise ValueError(
            f'{path} is no checkpoint: expected a dict of weights, found a {type(content).__name__}'
        )
    return content


def weights_in(content: Any, where: str | os.PathLike) -> dict[str, torch.Tensor]:
    """The weights in what was read of a checkpoint: its ``state_dict``, or itself.

    Args:
        content: What :func:`read_checkpoint` or mmengine's loader gave.
        where: File or address, for the message.

    Raises:
        ValueError: If these are no tensors by name, or there are none.
    """
    weights = content.get('state_dict', content) if isinstance(content, dict) else content
    right = (
        isinstance(weights, dict)
        and weights
        and all(isinstance(name, str) for name in weights)
        and all(isinstance(value, torch.Tensor) for value in weights.values())
    )
    if not right:
        raise ValueError(f'{where} is no checkpoint: expected tensors by name in its state_dict')
    return weights


PARTS = dict(student='detector.', teacher='teacher.model.')  # of FocalMix, in its weights


def tested_part(content: dict[str, Any]) -> str:
    """Which part of a FocalMix checkpoint was tested in training: 'student' or 'teacher'."""
    facts = (content.get('meta') or {}).get('mmdet3d_medical') or {}
    return facts.get('tested', 'student')


def part_of(weights: dict[str, torch.Tensor], part: str) -> dict[str, torch.Tensor]:
    """Weights of the student or the teacher in those of FocalMix, {} where there are none."""
    prefix = PARTS[part]
    return {
        name.removeprefix(prefix): value
        for name, value in weights.items()
        if name.startswith(prefix)
    }


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a checkpoint file, leaving out configs stored in it, which mmengine would run."""
    checkpoint = read_checkpoint(filename, map_location)
    meta = checkpoint.get('meta')
    if isinstance(meta, dict):
        checkpoint['meta'] = {key: meta[key] for key in meta if key not in STORED_CODE}
    return checkpoint


@CheckpointLoader.register_scheme(prefixes=('http://', 'https://'), force=True)
def load_from_http(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Download a checkpoint unless it is there already, and read it as any other."""
    path = _cached(filename)
    if get_rank() != 0:
        barrier()
    try:
        if not path.is_file():  # of other ranks those on other machines
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(filename, str(path), progress=False)
    except OSError as error:
        raise ValueError(f'{filename} cannot be downloaded: {error}') from None
    finally:
        if get_rank() == 0:  # the others wait, whatever came of it
            barrier()
    return load_from_local(str(path), map_location)


@CheckpointLoader.register_scheme(prefixes=OTHER_SCHEMES, force=True)
def load_from_elsewhere(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Refuse what would be read by loaders that run what they find."""
    raise ValueError(
        f'{filename}: checkpoints are read from files and http(s) addresses only. '
        'Download it and give the file'
    )


def _cached(url: str) -> Path:
    # Many addresses end in the same name.
    name = Path(url.partition('?')[0]).name
    digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    return Path(torch.hub.get_dir()) / 'checkpoints' / f'{digest}-{name}'


def _allowed() -> list:
    """What checkpoints of mmengine's runner hold besides tensors and plain data.

    That are numbers of the log, by names of numpy 1 and 2.
    """
    rebuild, scalar = np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    dtypes = [type(np.dtype(name)) for name in ('f2', 'f4', 'f8', 'i4', 'i8', 'u1', 'u4', '?')]
    return [
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        *dtypes,
        (_statistic, 'builtins.getattr'),
        *[
            (function, f'numpy.{core}.multiarray.{name}')
            for core in ('core', '_core')
            for function, name in ((rebuild, '_reconstruct'), (scalar, 'scalar'))
        ],
    ]


def _statistic(owner: Any, name: str) -> Any:
    """What ``getattr`` is allowed to do: name a statistic of a log."""
    if owner is not HistoryBuffer or name not in STATISTICS:
        raise pickle.UnpicklingError('GLOBAL builtins.getattr')
    return getattr(owner, name)


def _refusal(path: Path, error: Exception) -> ValueError:
    wanted = re.search(r'GLOBAL (\S+)', str(error))
    if wanted:
        return UntrustedCheckpointError(
            f'{path} holds more than weights and plain data: it wants {wanted[1]}, which was not '
            'run. If you trust who made it, give --trust-checkpoint, which runs what it holds'
        )
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return ValueError(
        f'{path} is no checkpoint, or a damaged one. mmdet3d-medical train writes them as '
        f'iter_<number>.pth. Reading it gave: {lines[0]}'
    )
