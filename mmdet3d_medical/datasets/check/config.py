"""Whether a config fits the data: anchors, patch, window and classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmdet3d_medical.registry import TASK_UTILS
from mmdet3d_medical.structures import VolumeGeometry

from ..index import volume_path
from ..transforms.loading import open_volume
from .lesions import lesions_of
from .problem import ERROR, WARNING, Problem
from .voxels import sparse

LOW_IOU = 1 / 8  # half or twice as large along each axis
WINDOW_SHARE = 0.1
SAMPLED_SCANS = 20


def check_config(
    index: dict, root: str | Path, config: Mapping[str, Any], allow_outside: bool = False
) -> list[Problem]:
    """Check whether a config fits a data set.

    An error is another number of classes. Warnings are lesions that no anchor fits, lesions larger
    than the patch, and a window that few voxels lie in.

    Args:
        index: As :func:`..index.read_index` gives it.
        root: Folder of the index.
        config: As mmengine loads it, or a plain dict.
        allow_outside: Whether volumes may lie outside the folder. Defaults to False.
    """
    model, training = config.get('model', {}), config.get('train_dataloader', {})
    sizes = _lesion_voxels(index['scans'])
    problems = []
    for head in find_parts(model, 'num_classes', 'assigner'):
        mismatch = class_mismatch(head['num_classes'], index['classes'])
        problems += [Problem(ERROR, '', mismatch, 'classes')] if mismatch else []
    for head in find_parts(model, 'anchor_generator', 'assigner'):
        problems += _check_anchors(sizes, head)
    for step in find_parts(training, 'type', 'size'):
        if 'Crop' in str(step['type']):
            problems += _check_patch(sizes, step['size'])
    for part in find_parts(model, 'window'):
        problems += _check_window(index['scans'], root, part['window'], allow_outside)
    return list(dict.fromkeys(problems))


def class_mismatch(num_classes: int, classes: Sequence[str]) -> str | None:
    """What is wrong with a head's number of classes for a data set; ``None`` if it is right."""
    if num_classes == len(classes):
        return None
    return (
        f'the config has num_classes={num_classes}, the data have {len(classes)}: '
        f'{", ".join(classes)}; set num_classes={len(classes)} in the head'
    )


def find_parts(node: Any, *keys: str) -> Iterator[Mapping[str, Any]]:
    """Parts of a config that have all the keys, at any depth."""
    if isinstance(node, Mapping):
        if all(key in node for key in keys):
            yield node
        node = node.values()
    if not isinstance(node, str) and hasattr(node, '__iter__'):
        for part in node:
            yield from find_parts(part, *keys)


def _lesion_voxels(scans: Sequence[dict]) -> dict[tuple[str, int], np.ndarray]:
    """Size (z, y, x) in voxels of each lesion, by scan id and number."""
    return {
        (scan['scan_id'], number): np.array(lesion['size'])
        / VolumeGeometry.from_dict(scan['geometry']).spacing_zyx
        for scan in scans
        for number, lesion in enumerate(lesions_of(scan))
    }


def _check_anchors(sizes: Mapping, head: Mapping[str, Any]) -> Iterator[Problem]:
    threshold = _lowest_iou(head['assigner'])
    if threshold is None or not sizes:
        return
    generator = TASK_UTILS.build(dict(head['anchor_generator']))
    anchors = np.concatenate([level.numpy() for level in generator.base_sizes])
    lesions = np.stack(list(sizes.values()))
    inner = np.minimum(lesions[:, None], anchors).prod(-1)
    iou = inner / (lesions.prod(-1)[:, None] + anchors.prod(-1) - inner)
    yield from _tell(
        sizes,
        iou.max(axis=1) < threshold,
        f'fit no anchor: the best IoU is below {threshold:g}; anchors are '
        f'{anchors.min():g} to {anchors.max():g} voxels wide',
        'anchors',
    )


def _lowest_iou(assigner: Mapping[str, Any]) -> float | None:
    """IoU with an anchor below which a lesion is learned badly or not at all."""
    kind = str(assigner['type']).rpartition('.')[-1]
    if kind == 'MaxIoUAssigner' and not assigner.get('match_low_quality', True):
        return assigner['pos_iou_thr']
    return LOW_IOU if kind in ('MaxIoUAssigner', 'ATSS3DAssigner') else None


def _check_patch(sizes: Mapping, patch: int | Sequence[int]) -> Iterator[Problem]:
    if sizes:
        larger = (np.stack(list(sizes.values())) > np.broadcast_to(patch, 3)).any(axis=1)
        yield from _tell(sizes, larger, f'are larger than the patch of {patch} voxels', 'patch')


def _tell(sizes: Mapping, wrong: np.ndarray, what: str, kind: str) -> Iterator[Problem]:
    """One problem for all lesions that have it."""
    if wrong.any():
        (scan_id, _), size = list(sizes.items())[int(wrong.argmax())]
        message = (
            f'{wrong.sum()} of {len(sizes)} lesions {what}; the first has (z, y, x) '
            f'{size.round(1).tolist()} voxels, in {scan_id}'
        )
        yield Problem(WARNING, '', message, kind)


def _check_window(
    scans: Sequence[dict], root: str | Path, window: Sequence[float], allow_outside: bool
) -> Iterator[Problem]:
    """A look at some scans, evenly chosen."""
    shares = []
    for scan in scans[:: max(1, len(scans) // SAMPLED_SCANS)]:
        geometry = VolumeGeometry.from_dict(scan['geometry'])
        try:
            path = volume_path(root, scan, allow_outside)
            voxels = sparse(open_volume(str(path), geometry, scan['scan_id']))
        except (ValueError, OSError):  # told by check_scans
            continue
        shares.append(((voxels > window[0]) & (voxels < window[1])).mean())
    if shares and np.median(shares) < WINDOW_SHARE:
        message = f'only {np.median(shares):.1%} of the voxels lie in the window {tuple(window)} HU'
        yield Problem(WARNING, '', message, 'window')
