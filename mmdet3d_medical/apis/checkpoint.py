"""Weights of trained detectors."""

from pathlib import Path

from mmengine.runner import Runner

from .errors import UsageError


def load_weights(runner: Runner, checkpoint: str) -> None:
    """Load weights that have to fit the runner's model exactly.

    Args:
        runner (Runner): Takes the weights.
        checkpoint (str): File or URL.

    Raises:
        UsageError: If there is no such file, or its weights are those of another model.
    """
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        raise UsageError(f'There is no checkpoint {checkpoint} (looked in {Path.cwd()}). '
                         'tools/train.py writes them to its work directory as iter_<number>.pth.')
    try:
        runner.load_checkpoint(checkpoint, strict=True)
    except RuntimeError as error:
        raise UsageError(
            f'The weights in {checkpoint} do not fit the model in {runner.cfg.filename}. Test '
            'with the config, and the --shrink and --cfg-options, that it was trained with. '
            f'{error}') from error
