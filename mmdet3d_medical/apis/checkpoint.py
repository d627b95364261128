"""Weights of trained detectors."""

import ast
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import is_model_wrapper
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from torch import Tensor, nn

from mmdet3d_medical.utils.checkpoints import read_checkpoint, weights_in
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import write_bytes

OF_TRAINING = 'message_hub', 'optimizer'  # in checkpoints that a run may go on from


def check_weights(runner: Runner, checkpoint: str) -> dict:
    """Refuse weights that do not fit the runner's model exactly, as a runner itself does not.

    The model holds these weights afterwards; the runner does not take them for loaded.

    Returns:
        As :func:`put_weights`.

    Raises:
        UsageError: As :func:`put_weights`.
    """
    return put_weights(runner.model, checkpoint, runner.cfg.filename)


def check_resumable(checkpoint: str) -> None:
    """Refuse to resume from what does not say how far its training was.

    Raises:
        UsageError: Naming the file and what it lacks.
    """
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    meta = content.get('meta')
    counted = isinstance(meta, dict) and all(
        isinstance(meta.get(key), int) for key in ('iter', 'epoch')
    )
    if not (counted and all(isinstance(content.get(key), dict) for key in OF_TRAINING)):
        raise UsageError(
            f'{checkpoint} holds weights, but not how far a run was (meta, '
            f'{", ".join(OF_TRAINING)}): start from it by load_from without resume'
        )


def put_weights(model: nn.Module, checkpoint: str, config: str) -> dict:
    """Load weights that have to fit a model exactly.

    Args:
        model: Takes the weights.
        checkpoint: File or address.
        config: What the model was built from, for the message.

    Returns:
        What the checkpoint says of itself (``meta``); empty if it says nothing.

    Raises:
        ValueError: If it is no checkpoint.
        UsageError: If its weights are those of another model, or not finite.
    """
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    weights_in(content, checkpoint)
    try:
        load_checkpoint(model, checkpoint, map_location='cpu', strict=True)
    except RuntimeError as error:
        raise UsageError(
            f'The weights in {checkpoint} do not fit the model in {config}. Use '
            'the config, and the --shrink and --cfg-options, that they were trained with. '
            f'{_shortened(str(error))}'
        ) from error
    _check_finite(model.state_dict(), checkpoint)
    meta = content.get('meta')
    return meta if isinstance(meta, dict) else {}


def _shortened(message: str, most: int = 6) -> str:
    first, *lines = message.split('\n')
    rest = len(lines) - most
    return '\n'.join([first, *lines[:most], *[f'... and {rest} more lines'] * (rest > 0)])


def _check_finite(weights: Mapping[str, Tensor], checkpoint: str) -> None:
    for name, value in weights.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise UsageError(
                f'{checkpoint}: {name} has values that are not finite (NaN or '
                'infinity). The training diverged: take an earlier checkpoint'
            )


def check_start(runner: Runner, checkpoint: str, allow_partial: bool = False) -> None:
    """Refuse weights to start a run from that do not fit its model.

    Weights of a part, as ``inflate_2d.py`` writes them, say in their meta data which part they are
    of, and have to fit that exactly. The runner loads them when it starts.

    Args:
        runner: Its model is compared; it holds what fits afterwards.
        checkpoint: File or URL.
        allow_partial: Whether the weights may fit the model in part only; what did not is printed.

    Raises:
        UsageError: If they do not fit, naming how many and the first of them.
    """
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    weights, part = weights_in(content, checkpoint), _part_of(content)
    _check_finite(weights, checkpoint)
    misfits = {what: names for what, names in misfits_of(model, weights, part).items() if names}
    if not misfits:
        return
    found = '; '.join(
        f'{len(names)} {what} ({", ".join(names[:3])}{", ..." * (len(names) > 3)})'
        for what, names in misfits.items()
    )
    if not allow_partial:
        raise UsageError(
            f'The weights in {checkpoint} do not fit the model in '
            f'{runner.cfg.filename}: {found}. Give --allow-partial to train from '
            'those that do'
        )
    print(
        f'--allow-partial: the weights in {checkpoint} fit in part. Not loaded: {found}. '
        'All others are.'
    )


def _part_of(content: Mapping[str, Any]) -> str:
    """Prefix of the part that weights say they are of, '' for a whole model."""
    meta = content.get('meta')
    part = meta.get('part', '') if isinstance(meta, dict) else ''
    return part if isinstance(part, str) else ''


def misfits_of(model: nn.Module, weights: dict[str, Tensor], part: str = '') -> dict[str, list]:
    """Names of weights that a model lacks, that are left over, or that have another shape.

    Args:
        model: Takes the weights that fit.
        weights: By name.
        part: Prefix of the part that the weights are of. '' is the whole model.
    """
    found: dict[str, list] = {}
    hook = model.register_load_state_dict_post_hook(lambda _, keys: found.update(keys._asdict()))
    weights = {name.removeprefix('module.'): value for name, value in weights.items()}
    try:
        model.load_state_dict(weights, strict=False)
        shapes = []
    except RuntimeError as error:  # after all that fit are loaded
        shapes = re.findall(r'size mismatch for (\S+):', str(error))
        if not shapes:
            raise
    finally:
        hook.remove()
    # A part that the model does not have excuses nothing that is missing.
    known = any(f'.{part}' in f'.{name}' for name in model.state_dict())
    missing = [
        name
        for name in found['missing_keys']
        if (f'.{part}' in f'.{name}' or not known) and not name.endswith('num_batches_tracked')
    ]
    return {
        'of the model are missing': missing,
        'have no place': list(found['unexpected_keys']),
        'have another shape': shapes,
    }


def save_weights(
    path: str, weights: Mapping[str, Tensor], meta: Mapping[str, Any] | None = None
) -> None:
    """Write a checkpoint of weights alone, whole or not at all."""
    content = io.BytesIO()  # torch tells of a full disk as an error of its own
    torch.save(dict(meta=meta or {}, state_dict=weights), content)
    write_bytes(path, content.getvalue())


def last_checkpoint(work_dir: str) -> Path | None:
    """The last checkpoint in a work directory, which may have been moved since, if there is one."""
    latest = _latest(Path(work_dir))
    if latest == '':  # the process was killed while it noted the name of a whole checkpoint
        saved = Path(work_dir).glob('iter_*.pth')
        latest = max(saved, key=lambda path: path.stat().st_mtime, default=None)
    path = Path(work_dir) / Path(latest).name if latest else None
    return path if path and path.is_file() else None


def _latest(folder: Path) -> str | None:
    """What the note of the last checkpoint says; None if there is none."""
    note = folder / 'last_checkpoint'  # written when a checkpoint is complete
    return note.read_text(errors='replace').strip() if note.is_file() else None


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
        raise UsageError(
            f'{checkpoint} is of a {there}, while {cfg.filename} trains a {here}. '
            'Give it a directory of its own: '
            f'--work-dir {cfg.work_dir}_{here.rpartition(".")[-1]}'
        )


def trained_checkpoint(folder: Path, iters: int) -> Path | None:
    """The last checkpoint in a work directory, if the training came to its end.

    Args:
        folder (Path): The work directory.
        iters (int): Length of the training.
    """
    path = folder / f'iter_{iters}.pth'
    complete = Path(_latest(folder) or '').name == path.name
    return path if complete and path.is_file() else None


def _model_type(checkpoint: Path) -> str | None:
    """As the checkpoint says; None if it does not, or the file is damaged or untrusted."""
    try:
        meta = read_checkpoint(checkpoint)['meta']
        own = meta.get('mmdet3d_medical')
        found = own['model'] if own else _type_in(meta['cfg'])
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        SyntaxError,
        StopIteration,
        RecursionError,
        MemoryError,
    ):  # whatever the text of a config may hold
        return None
    return found if isinstance(found, str) else None


def _type_in(config: str) -> str | None:
    """Type of the model in the text of a config, which is not run.

    Checkpoints without our meta data have nothing else that says it.
    """
    for node in ast.parse(config).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == 'model':
            return next(
                ast.literal_eval(keyword.value)
                for keyword in node.value.keywords
                if keyword.arg == 'type'
            )
    return None
