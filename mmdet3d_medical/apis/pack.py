"""From a config and a checkpoint to a model folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from torch import nn

from mmdet3d_medical.evaluation.functional import FROCResult, OperatingPoint, rate_points
from mmdet3d_medical.packing import ModelFolder, voxels_of, write_model
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.utils import register_all_modules
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.version import __version__

from .checkpoint import put_weights

META = 'mmdet3d_medical'  # in checkpoints, see PlainMetaHook
THRESHOLD = 0.5  # where nothing was measured
MEASURED = ('score', 'fp_per_scan', 'sensitivity')
OF_INITIALIZATION = ('init_cfg', 'pretrained')


def pack_model(
    cfg: Config,
    checkpoint: str,
    folder: str | Path,
    name: str,
    result: FROCResult | None = None,
    fp_per_scan: float = 1.0,
    measured_on: str = '',
    summary: str = '',
    card: str | None = None,
    scans_per: float = 1.0,
    spacing: Sequence[float] | None = None,
    crop: str | None = None,
) -> ModelFolder:
    """Write a model folder of a trained detector.

    Of FocalMix and other training schemes only the detector is packed that is tested.

    Args:
        cfg: The config that it was trained with.
        checkpoint: Its weights. How scans were converted is read from their meta data.
        folder: Where to write.
        name: Of the model.
        result: Its FROC on data that it was not trained on, for the operating points.
        fp_per_scan: The default threshold has at most so many false positives in a scan.
        measured_on: What data that was.
        summary: What the model does, a sentence.
        card: Text of the model card, to which what was measured is added. Without one it is
            written from the facts.
        scans_per: Whole scans that a listed scan of ``result`` stands for, below 1 where these are
            parts of scans.
        spacing: (z, y, x) in mm that scans are resampled to; by default that of the training.
        crop: 'lungs' or 'none'; by default as in the training.

    Raises:
        UsageError: If the checkpoint does not fit, or does not tell how its scans were converted.
    """
    register_all_modules()
    data = _meta_of(checkpoint)
    model = _trained(cfg, checkpoint, data.get('tested'))
    config, detector = _tested(cfg.model.to_dict(), model)
    points = rate_points(result, per=scans_per) if result else []
    settings = data.get('settings') or {}
    facts = dict(
        name=name,
        summary=summary,
        config=_plain(config),
        spacing=list(spacing) if spacing else data.get('spacing'),
        crop=crop or settings.get('crop', 'none'),
        margin=settings.get('margin', 10.0),
        window=list(getattr(detector.data_preprocessor, 'window', ())) or None,
        classes=data['classes'],
        threshold=_threshold(points, fp_per_scan),
        operating_points=[{key: getattr(p, key) for key in MEASURED} for p in points],
        measured_on=measured_on + _parts(scans_per) * bool(result),
        versions={META: __version__, 'torch': str(torch.__version__).partition('+')[0]},
    )
    card = '\n'.join([card or model_card(facts), *_measured(facts)])
    return write_model(folder, facts, detector.state_dict(), card)


def _parts(scans_per: float) -> str:
    """What is to be known of rates per scan that were not measured in whole scans."""
    return '' if scans_per == 1 else f', each counted as {scans_per:g} of a scan'


def _meta_of(checkpoint: str) -> dict[str, Any]:
    meta = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu').get('meta') or {}
    data = meta.get(META)
    if not data or not data.get('classes'):
        raise UsageError(
            f'{checkpoint} does not tell how the scans were converted that it was trained on '
            '(its meta data has no spacing and classes): train with this version, or resume for '
            'a step'
        )
    return data


def _trained(cfg: Config, checkpoint: str, tested: str | None) -> nn.Module:
    """The model with its weights; refused if another part was tested, whose scores are known."""
    model = MODELS.build(cfg.model)
    put_weights(model, checkpoint, cfg.filename)
    packed = getattr(model, 'predict_on', None)
    if tested and packed and tested != packed:
        raise UsageError(
            f'{checkpoint}: its training tested the {tested}, {cfg.filename} tests the {packed}: '
            'give the config and --semi that it was trained with'
        )
    return model


def _tested(config: dict, model: nn.Module) -> tuple[dict, nn.Module]:
    """Config and network of the detector in a training scheme; itself where there is none."""
    while 'detector' in config and hasattr(model, 'detector'):
        config, model = config['detector'], getattr(model, 'tested', model.detector)
    return config, model


def _plain(value: Any) -> Any:
    """A config without tuples, nor what only the start of a training needs."""
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items() if key not in OF_INITIALIZATION}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _threshold(points: Sequence[OperatingPoint], fp_per_scan: float) -> float:
    if not points:
        return THRESHOLD
    allowed = [point.score for point in points if point.fp_per_scan <= fp_per_scan]
    if not allowed:
        raise UsageError(
            f'no score has as few as {fp_per_scan:g} false positives in a scan; give '
            f'--fp-per-scan {points[0].fp_per_scan:.3g} or more'
        )
    return min(allowed)


def model_card(facts: Mapping[str, Any]) -> str:
    """Text of a ``README.md``: what the model takes, gives and was measured to find."""
    lines = [
        f'# {facts["name"]}',
        '',
        facts['summary'] or 'A detector of lesions in CT.',
        '',
        f'* Finds: {", ".join(facts["classes"])}.',
        f'* Voxels (z, y, x): {voxels_of(facts["spacing"])}. Cut to: {facts["crop"]}.',
        '* Not a medical device. For research only.',
    ]
    return '\n'.join([*lines, ''])


def _measured(facts: Mapping[str, Any]) -> list[str]:
    """The operating points as a section of the card; nothing without any."""
    points = facts['operating_points']
    if not points:
        return []
    rows = [
        f'| {p["score"]:.3f} | {p["fp_per_scan"]:.3g} | {p["sensitivity"]:.3f} |' for p in points
    ]
    return [
        '## Measured',
        '',
        f'On {facts["measured_on"] or "validation scans"}. The default threshold is '
        f'{facts["threshold"]:.3f}.',
        '',
        '| score and above | false positives a scan | sensitivity |',
        '|---|---|---|',
        *rows,
        '',
    ]
