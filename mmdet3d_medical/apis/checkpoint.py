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
from mmengine.runner import CheckpointLoader, Runner, find_latest_checkpoint, load_checkpoint
from torch import Tensor, nn

from mmdet3d_medical.utils.checkpoints import read_checkpoint
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
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not value.isfinite().all():
            raise UsageError(f'{checkpoint}: {name} has values that are not finite (NaN or '
                             'infinity). The training diverged: take an earlier checkpoint')


def check_start(runner: Runner, checkpoint: str, allow_partial: bool = False) -> None:
    """Refuse weights to start a training from that do not fit its model.

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
    part = (content.get('meta') or {}).get('part', '')
    misfits = {what: names for what, names in misfits_of(
        model, content.get('state_dict', content), part).items() if names}
    if not misfits:
        return
    found = '; '.join(f'{len(names)} {what} ({", ".join(names[:3])}{", ..." * (len(names) > 3)})'
                      for what, names in misfits.items())
    if not allow_partial:
        raise UsageError(f'The weights in {checkpoint} do not fit the model in '
                         f'{runner.cfg.filename}: {found}. Give --allow-partial to train from '
                         'those that do')
    print(f'--allow-partial: the weights in {checkpoint} fit in part. Not loaded: {found}. '
          'All others are.')


def misfits_of(model: nn.Module, weights: dict[str, Tensor], part: str = '') -> dict[str, list]:
    """Names of weights that a model lacks, that are left over, or that have another shape.

    Args:
        model: Takes the weights that fit.
        weights: By name.
        part: Prefix of the part that the weights are of. '' is the whole model.
    """
    found: dict[str, list] = {}
    hook = model.register_load_state_dict_post_hook(
        lambda _, keys: found.update(keys._asdict()))
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
    missing = [name for name in found['missing_keys']
               if f'.{part}' in f'.{name}' and not name.endswith('num_batches_tracked')]
    return {'of the model are missing': missing, 'have no place': list(found['unexpected_keys']),
            'have another shape': shapes}


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
    """As the checkpoint says; None if it does not, or the file is damaged or untrusted."""
    try:
        meta = read_checkpoint(checkpoint)['meta']
        return meta['mmdet3d_medical']['model'] if 'mmdet3d_medical' in meta else _type_in(
            meta['cfg'])
    except (ValueError, KeyError, TypeError, SyntaxError):
        return None


def _type_in(config: str) -> str | None:
    """Type of the model in the text of a config, which is not run.

    Checkpoints without our meta data have nothing else that says it.
    """
    for node in ast.parse(config).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == 'model':
            return next(ast.literal_eval(keyword.value) for keyword in node.value.keywords
                        if keyword.arg == 'type')
    return None


def _check_readable(checkpoint: str) -> None:
    CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
