"""A detector's config and a few values make a semi-supervised one."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdet3d_medical.datasets.transforms import RandomCrop3D
from mmdet3d_medical.registry import TRANSFORMS
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.shipped import SHIPPED

KEYS = {'patches', 'labeled', 'unlabeled', 'candidates', 'hook'}  # of `semi`
SCANS = 'give luna16, phantom or nodules before the method, or a `semi` of your own'
FOLDERS = tuple(SHIPPED / 'configs' / '_base_' / name for name in ('semi', 'methods'))


def semi_supervised(base: Mapping[str, Any], **changes: Any) -> tuple[dict, dict, list]:
    """What a semi-supervised config has in the place of what its detector's config has.

    In a config file, below ``_base_ = [DETECTOR, '../_base_/semi/luna16.py',
    '../_base_/methods/focalmix.py']``::

        model, train_dataloader, custom_hooks = semi_supervised(_base_)

    Labeled and unlabeled patches come from the scans of the detector's own training data, cut and
    augmented as they are there, but unlabeled ones lie anywhere: aiming at lesions would use their
    annotations. Where there are annotations, they go along for diagnostics only.

    Args:
        base: A detector's config with the values of the fragments: ``method``, the arguments of a
            ``FocalMixDetector``, whose ``detector`` changes values of the detector; where there
            are unlabeled scans ``semi``, see ``configs/_base_/semi/luna16.py``. ``soft_targets``
            of a detector's config is what it needs under any method, changed like ``method``.
        changes: Values of ``semi`` to change.

    Returns:
        ``model``, ``train_dataloader`` and ``custom_hooks``, which replace those of the base.

    Raises:
        UsageError: If ``semi`` has a key that nothing reads, lacks one, or replaces a pipeline.
    """
    soft, method = base.get('soft_targets', {}), base['method']
    detector = _merged(base['model'], soft.get('detector', {}))
    detector = _merged(detector, method.get('detector', {}))
    model = {**_merged(soft, method), '_delete_': True, 'detector': detector}
    hooks = base.get('custom_hooks') or []
    if 'semi' not in base:
        if method.get('teacher'):
            raise UsageError(
                f'the method has a teacher, {method["teacher"]["type"]}, which makes targets of '
                f'unlabeled scans, but there are none: {SCANS}'
            )
        return model, {**base['train_dataloader'], '_delete_': True}, hooks
    semi = {**base['semi'], **changes}
    _check(semi)
    return model, _loader(base['train_dataloader'], semi), [dict(semi['hook']), *hooks]


def combine(cfg: Config, fragments: Sequence[str]) -> Config:
    """A detector's config and fragments, as a config file that names them puts them together.

    Args:
        cfg: Of a detector.
        fragments: Config files, or names of some in ``configs/_base_/semi`` and
            ``configs/_base_/methods``. Later ones change values of earlier ones; their
            ``custom_hooks`` are added to those that are there.

    Raises:
        UsageError: If a fragment is not there, there is no method among them, or the config is
            semi-supervised already.
    """
    if 'detector' in cfg.model:
        raise UsageError(
            f'--semi: {cfg.filename} has a {cfg.model.type} already; give the config of a detector'
        )
    base = cfg.to_dict()
    hooks = [*(base.pop('custom_hooks', None) or [])]
    for fragment in fragments:
        values = read_config(find_fragment(fragment)).to_dict()
        hooks += [hook for hook in values.pop('custom_hooks', []) if hook not in hooks]
        _check_order(base, values, f'--semi {" ".join(fragments)}: {fragment}')
        base = _merged(base, values)
    base['custom_hooks'] = hooks
    if 'type' not in base.get('method', {}):
        raise UsageError(f'--semi {" ".join(fragments)}: none of them is a method, say focalmix')
    if 'semi' not in base:
        _tell_once(f'--semi {" ".join(fragments)}: no unlabeled scans, so training is supervised')
    model, loader, hooks = semi_supervised(base)
    base = {**base, 'model': model, 'train_dataloader': loader, 'custom_hooks': hooks}
    base['model'].pop('_delete_')
    base['train_dataloader'].pop('_delete_')
    return Config(base, filename=cfg.filename)


def _check_order(before: Mapping[str, Any], values: Mapping[str, Any], what: str) -> None:
    """Refuse a second method, and what changes a method before there is one."""
    has = ['type' in part.get('method', {}) for part in (before, values)]
    if all(has):
        raise UsageError(
            f'{what} is a second method. Give one, then what comes after a method, such as '
            'cross_entropy'
        )
    if 'method' in values and not any(has):
        raise UsageError(f'{what} comes after a method, such as focalmix')


@functools.cache
def _tell_once(line: str) -> None:
    """A table asks for its configs many times."""
    print(line)


def run_name(path: str, fragments: Sequence[str] = ()) -> str:
    """What a run of a config and fragments is called: ``deepseed_phantom_phantom-focalmix``."""
    return '_'.join(
        [Path(path).stem, *['-'.join(Path(name).stem for name in fragments)] * bool(fragments)]
    )


def find_fragment(name: str) -> str:
    """A file of values for :func:`combine`, by its path or by the name of one that is shipped.

    Raises:
        UsageError: If there is none; the message lists those there are.
    """
    places = [Path(name), *(folder / f'{name}.py' for folder in FOLDERS)]
    for place in places:
        if place.is_file():
            return str(place)
    known = [path.stem for folder in FOLDERS for path in sorted(folder.glob('*.py'))]
    raise UsageError(f'--semi {name}: no such file, and none of {", ".join(known)}')


def read_config(path: str) -> Config:
    """Read a config file.

    Raises:
        UsageError: If it cannot be read as one.
    """
    try:
        return Config.fromfile(path)
    except (MemoryError, FileNotFoundError, UsageError):
        raise
    except Exception as error:  # a config is Python and can raise anything
        raise UsageError(f'{path} cannot be read: {type(error).__name__}: {error}') from error


def _check(semi: Mapping[str, Any]) -> None:
    unknown, missing = sorted({*semi} - KEYS), sorted(KEYS - {'candidates'} - {*semi})
    if 'patches' in missing:
        raise UsageError(f'semi has {sorted(semi)}, but no scans and patches: {SCANS}')
    if unknown or missing:
        raise UsageError(
            f'semi has {sorted(semi)}: expected {sorted(KEYS)}, of which candidates may be left out'
        )
    if min(semi['patches']) < 1:
        raise UsageError(
            'semi.patches must be the labeled and the unlabeled patches of a batch, 1 or more of '
            f'each, found {semi["patches"]}'
        )
    if 'lesion_prob' not in semi.get('candidates', {'lesion_prob': 0}):
        raise UsageError(
            'semi.candidates has no lesion_prob, the share of patches around marks, such as 0.7'
        )
    for name in ('labeled', 'unlabeled'):
        if 'pipeline' in semi[name]:
            raise UsageError(
                f'semi.{name} has a pipeline, but both are made of that of the detector: change '
                "that, or the result's train_dataloader.dataset.datasets"
            )


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict:
    """Values changed as by an inheriting config."""
    return Config._merge_a_into_b(deepcopy(dict(changes)), deepcopy(dict(values)))


def _loader(supervised: Mapping[str, Any], semi: Mapping[str, Any]) -> dict:
    """The supervised loader for batches of labeled and unlabeled patches."""
    labeled, unlabeled = semi['patches']
    dataset, batch_size = supervised['dataset'], labeled + unlabeled
    sources = dict(
        labeled=_source(dataset, 'sup', semi['labeled']),
        unlabeled=_source(dataset, 'unsup', semi['unlabeled'], semi.get('candidates'), aimed=False),
    )
    sampler = dict(
        type='MultiSourceDrawSampler',
        batch_size=batch_size,
        source_ratio=[part // math.gcd(labeled, unlabeled) for part in semi['patches']],
        seed=supervised['sampler'].get('seed'),
    )
    return {
        **supervised,
        '_delete_': True,
        'batch_size': batch_size,
        'sampler': sampler,
        'dataset': dict(type='MultiSourceDataset', datasets=sources),
    }


def _source(
    dataset: Mapping[str, Any],
    branch: str,
    changes: Mapping[str, Any],
    candidates: Mapping[str, Any] | None = None,
    aimed: bool = True,
) -> dict:
    """A data set whose samples go into one branch of the batch.

    Args:
        candidates: Arguments of ``LoadCandidates`` around which most patches lie, and
            ``lesion_prob``, how many; None if there are none.
        aimed: Whether patches may lie around annotated lesions.
    """
    load, *steps, pack = dataset['pipeline']
    if not aimed:
        chance = candidates['lesion_prob'] if candidates else 0.0
        steps = [{**step, 'lesion_prob': chance} if _crops(step) else step for step in steps]
    if candidates:
        keys = {key: value for key, value in candidates.items() if key != 'lesion_prob'}
        steps = [dict(type='LoadCandidates', **keys), *steps]
    branched = dict(type='mmdet.MultiBranch', branch_field=['sup', 'unsup'], **{branch: pack})
    return {**dataset, **changes, 'pipeline': [load, *steps, branched]}


def _crops(step: Mapping[str, Any]) -> bool:
    """Whether a transform may aim patches at lesions, also where its config does not say so."""
    kind = TRANSFORMS.get(step['type'])
    return 'lesion_prob' in step or (isinstance(kind, type) and issubclass(kind, RandomCrop3D))
