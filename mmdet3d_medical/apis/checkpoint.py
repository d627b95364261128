"""Weights of trained detectors."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader, Runner, find_latest_checkpoint, load_checkpoint
from torch import Tensor, nn

from mmdet3d_medical.utils.files import write_bytes

from .errors import UsageError


def load_weights(runner: Runner, checkpoint: str) -> None:
    """Load weights that have to fit the runner's model exactly.

    Args:
        runner (Runner): Takes the weights.
        checkpoint (str): File or URL.

    Raises:
        UsageError: If there is no such file, it is no checkpoint, or its weights are those of
            another model.
    """
    check_weights(runner, checkpoint)
    runner.load_checkpoint(checkpoint, strict=True)


def check_weights(runner: Runner, checkpoint: str) -> None:
    """Refuse weights that do not fit the runner's model exactly, as a runner that resumes does not.

    The model holds these weights afterwards; the runner does not take them for loaded.

    Raises:
        UsageError: As :func:`load_weights`.
    """
    put_weights(runner.model, checkpoint, runner.cfg.filename)


def put_weights(model: nn.Module, checkpoint: str, config: str) -> None:
    """Load weights that have to fit a model exactly; ``config`` is what it was built from.

    Raises:
        UsageError: As :func:`load_weights`.
    """
    _check_readable(checkpoint)
    try:
        load_checkpoint(model, checkpoint, map_location='cpu', strict=True)
    except RuntimeError as error:
        raise UsageError(
            f'The weights in {checkpoint} do not fit the model in {config}. Use '
            'the config, and the --shrink and --cfg-options, that they were trained with. '
            f'{error}') from error


def save_weights(
    path: str, weights: Mapping[str, Tensor], meta: Mapping[str, Any] | None = None
) -> None:
    """Write a checkpoint of weights alone, whole or not at all."""
    content = io.BytesIO()  # torch tells of a full disk as an error of its own
    torch.save(dict(meta=meta or {}, state_dict=weights), content)
    write_bytes(path, content.getvalue())


def last_checkpoint(work_dir: str) -> Path | None:
    """The last checkpoint in a work directory, which may have been moved since, if there is one."""
    latest = find_latest_checkpoint(work_dir)
    if latest == '':  # the process was killed while it noted the name of a whole checkpoint
        saved = Path(work_dir).glob('iter_*.pth')
        latest = max(saved, key=lambda path: path.stat().st_mtime, default=None)
    path = Path(work_dir) / Path(latest).name if latest else None
    return path if path and path.is_file() else None


def check_work_dir(cfg: Config) -> None:
    """Refuse to train where another kind of model was trained.

    FocalMix around a detector and the detector alone often have configs of the same name, and
    their weights the same names: one would go on with the other's, or write over them.

    Raises:
        UsageError: If the last checkpoint in ``cfg.work_dir`` is that of another model type.
    """
    checkpoint = last_checkpoint(cfg.work_dir)
    here, there = cfg.model.type, _model_type(checkpoint) if checkpoint else None
    if there and there.rpartition('.')[-1] != here.rpartition('.')[-1]:
        raise UsageError(f'{checkpoint} is of a {there}, while {cfg.filename} trains a {here}. '
                         'Give it a directory of its own: '
                         f'--work-dir {cfg.work_dir}_{here.rpartition(".")[-1]}')


def trained_checkpoint(folder: Path, iters: int) -> Path | None:
    """The last checkpoint in a work directory, if the training came to its end.

    Args:
        folder (Path): The work directory.
        iters (int): Length of the training.
    """
    path = folder / f'iter_{iters}.pth'
    latest = folder / 'last_checkpoint'  # written when a checkpoint is complete
    complete = latest.is_file() and Path(latest.read_text()).name == path.name
    return path if complete and path.is_file() else None


def _model_type(checkpoint: Path) -> str | None:
    """As the checkpoint's config has it; None if there is none, or the file is damaged."""
    try:
        loaded = torch.load(checkpoint, map_location='cpu', mmap=True, weights_only=False)
        return Config.fromstring(loaded['meta']['cfg'], '.py').model.type
    except Exception:  # unpickling what is no pickle can raise anything
        return None


def _check_readable(checkpoint: str) -> None:
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        raise UsageError(f'There is no checkpoint {checkpoint} (looked in {Path.cwd()}). '
                         'tools/train.py writes them to its work directory as iter_<number>.pth.')
    try:
        CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    except Exception as error:  # unpickling what is no pickle can raise anything
        raise UsageError(f'{checkpoint} is no checkpoint, or a damaged one. tools/train.py writes '
                         f'them as iter_<number>.pth. Reading it gave: {error}') from error
