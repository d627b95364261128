"""Weights of trained detectors."""

from pathlib import Path

from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from torch import nn

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


def _check_readable(checkpoint: str) -> None:
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        raise UsageError(f'There is no checkpoint {checkpoint} (looked in {Path.cwd()}). '
                         'tools/train.py writes them to its work directory as iter_<number>.pth.')
    try:
        CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    except Exception as error:  # unpickling what is no pickle can raise anything
        raise UsageError(f'{checkpoint} is no checkpoint, or a damaged one. tools/train.py writes '
                         f'them as iter_<number>.pth. Reading it gave: {error}') from error
