"""What a training step of a config sees: patches, their size, views of the unlabeled ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mmengine.config import Config
from torch import nn

from mmdet3d_medical.models.detectors import FocalMixDetector
from mmdet3d_medical.utils.cost import input_channels
from mmdet3d_medical.utils.errors import UsageError


class Plan(NamedTuple):
    """What a training step sees.

    Attributes:
        patch: (C, D, H, W).
        labeled: Patches with targets from annotations.
        unlabeled: Patches with guessed targets.
        views: Forward passes of each unlabeled patch.
        together: Views in one forward pass.
        guesses_boxes: Whether boxes of all views are needed, and learned of unlabeled patches too.
    """

    patch: tuple[int, ...]
    labeled: int
    unlabeled: int
    views: int
    together: int
    guesses_boxes: bool = False


def plan_of(
    cfg: Config,
    model: nn.Module,
    patch: Sequence[int] | None = None,
    channels: int = 1,
    batch: Sequence[int] | None = None,
) -> Plan:
    """The training step of a config.

    Args:
        cfg: The config.
        model: Built from it.
        patch: Sides (D, H, W) in voxels; by default those of the config's crops.
        channels: Of a scan.
        batch: Labeled and unlabeled patches; by default the config's.

    Raises:
        UsageError: If there is no patch, or the config does not tell its size.
    """
    labeled, unlabeled = batch or batch_of(cfg)
    if labeled + unlabeled == 0:
        raise UsageError('--batch 0 0: there is no patch to learn from.')
    detector = getattr(model, 'detector', model)
    patch = (input_channels(detector, channels), *(patch or patch_of(cfg)))
    if not isinstance(model, FocalMixDetector):
        return Plan(patch, labeled + unlabeled, 0, 0, 1)
    views, models = model.targets.views, len(model.guessing_models)
    together = min(views.per_forward, views.num)
    return Plan(patch, labeled, unlabeled, views.num * models, together, model.targets.needs_decode)


def batch_of(cfg: Config) -> tuple[int, int]:
    """Labeled and unlabeled patches, where the first source of the data is the labeled one."""
    loader = cfg.train_dataloader
    first, *others = loader.get('sampler', {}).get('source_ratio', [1])
    labeled = loader.batch_size * first // (first + sum(others))
    return labeled, loader.batch_size - labeled


def patch_of(cfg: Config) -> tuple[int, ...]:
    """Size of the first crop in the training data."""
    sizes = [
        step['size']
        for step in dicts_in(cfg.train_dataloader.dataset)
        if 'Crop' in str(step.get('type')) and 'size' in step
    ]
    if not sizes:
        raise UsageError(
            f'{cfg.filename} has no crop with a size in its training pipeline: say '
            'how large patches are with --patch Z Y X.'
        )
    return tuple(sizes[0])


def dicts_in(node) -> Iterator[dict]:
    """All dicts in a nested config, in their order."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for item in node:
            yield from dicts_in(item)
