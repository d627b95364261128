"""One switch that lets any config run on a laptop.

A config's values are copied into its pipelines, loaders and models when it is read, so changing
one afterwards leaves its copies behind. This changes all of them.
"""

from collections.abc import Callable, Mapping
from functools import partial

from mmengine.config import Config

from .options import datasets_in
from .schedule import fit_schedule

WIDTH_DIVISOR = 4
PATCH, OVERLAP = 64, 16
BATCH = 2
ITERS = 20


def _at_most(limit: int, value: int) -> int:
    return min(limit, value)


def _narrow(value: int) -> int:
    """A width divided; widths that stand for something else (one CT channel, say) are small."""
    return value // WIDTH_DIVISOR if value >= 2 * WIDTH_DIVISOR else value


RULES: dict[str, Callable[[int], int]] = {
    'base_channels': _narrow,
    'in_channels': _narrow,
    'channels': _narrow,
    'stem_channels': _narrow,
    'dense_channels': _narrow,
    'decoder_channels': _narrow,
    'growth_channels': _narrow,
    'feat_channels': _narrow,
    'out_channels': _narrow,
    'init_features': _narrow,
    'growth_rate': _narrow,
    'embed_dim': _narrow,
    'feature_size': _narrow,
    'num_groups': lambda groups: max(groups // WIDTH_DIVISOR, 1),
    'tile_size': partial(_at_most, PATCH),
    'tile_overlap': partial(_at_most, OVERLAP),
    'batch_size': partial(_at_most, BATCH),
    'num_workers': lambda workers: 0,
    'val_interval': partial(_at_most, ITERS),
}


def shrink(cfg: Config) -> Config:
    """A copy of the config with small patches, batches and widths, and few iterations.

    Crops and tiles get at most 64 voxels a side, batches 2 patches, networks a quarter of their
    width (as far as the config spells widths out), training 20 iterations with a validation, a
    checkpoint and a log of each at the end. Validation during training takes one scan, as a whole
    scan in small tiles takes minutes; the test takes all. Architecture, losses and data stay.

    Args:
        cfg (Config): Any config of a detector.
    """
    small = Config(_shrink(cfg.to_dict()), filename=cfg.filename)
    if 'max_iters' in (small.get('train_cfg') or {}):
        fit_schedule(small, min(ITERS, small.train_cfg.max_iters))
    sampler = (small.get('train_dataloader') or {}).get('sampler') or {}
    if 'source_ratio' in sampler:
        sampler.batch_size = sum(sampler.source_ratio)
        small.train_dataloader.batch_size = sampler.batch_size
    hooks = small.get('default_hooks', {})
    if 'checkpoint' in hooks:
        hooks.checkpoint.interval = min(hooks.checkpoint.get('interval', ITERS), ITERS)
    if 'logger' in hooks:
        hooks.logger.interval = 1
    for _, dataset in datasets_in(small.get('val_dataloader'), 'val_dataloader'):
        dataset['indices'] = 1
    return small


def _shrink(node):
    if isinstance(node, Mapping):
        return {key: _shrink_value(key, value, node) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(_shrink(item) for item in node)
    return node


def _shrink_value(key: str, value, parent: Mapping):
    is_patch = key == 'size' and 'Crop' in parent.get('type', '')
    rule = partial(_at_most, PATCH) if is_patch else RULES.get(key)
    if rule and isinstance(value, int):
        return rule(value)
    if rule and isinstance(value, (list, tuple)) and all(isinstance(v, int) for v in value):
        return type(value)(rule(v) for v in value)
    if key == 'persistent_workers':
        return False
    return _shrink(value)
