"""How good guessed targets are, where someone knows better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmdet3d_medical.datasets.index import open_index
from mmdet3d_medical.datasets.transforms.loading import instance_boxes, without_twins
from mmdet3d_medical.structures import VolumeGeometry, box_iou3d, nms3d

_MAX_GUESSES = 1000  # best priors of a patch that are looked at
_OVERLAP = 0.1  # IoU from which a prior is on a lesion, and above which two guesses are one


class Counts(NamedTuple):
    """Lesions and how many of them were found; guesses and how many of them are right."""

    found: int
    lesions: int
    right: int
    guesses: int


class KnownLesions:
    """Annotations of a data set's scans, looked up by scan and place.

    Args:
        ann_file: The index of the data set.
    """

    def __init__(self, ann_file: str):
        self._scans = open_index(ann_file)['scans']
        self._annotated = {
            scan['scan_id']: position
            for position, scan in enumerate(self._scans)
            if scan['annotated']
        }

    def in_patch(self, meta: Mapping) -> tuple[Tensor, Tensor] | None:
        """Boxes in the voxels of a patch.

        Args:
            meta: Of the patch, with ``scan_id`` and ``geometry``.

        Returns:
            Lesions (K, 6) whose center lies in the patch; (M, 6) what counts neither way, that is
            ignored findings and lesions whose center lies outside. None for a scan without
            annotations.
        """
        position = self._annotated.get(meta['scan_id'])
        if position is None:
            return None
        scan = self._scans[position]
        instances = without_twins(scan['instances'])
        patch, whole = meta['geometry'], VolumeGeometry.from_dict(scan['geometry'])
        boxes = torch.from_numpy(carry_boxes(instance_boxes(instances, whole), whole, patch))
        center = (boxes[:, :3] + boxes[:, 3:]) / 2
        inside = ((center >= 0) & (center < center.new_tensor(patch.shape))).all(dim=1)
        lesion = inside & ~torch.tensor([i['ignore'] for i in instances], dtype=torch.bool)
        return boxes[lesion], boxes[~lesion]


def carry_boxes(boxes: np.ndarray, start: VolumeGeometry, end: VolumeGeometry) -> np.ndarray:
    """Boxes (N, 6) in the voxels of one volume as boxes in those of another.

    Exact where the axes of the two are parallel, in any order and direction.
    """
    corners = boxes.reshape(-1, 3)
    world, _ = start.box_to_world(np.tile(corners, 2))
    moved = end.world_to_box(world, np.zeros(len(world)))[:, :3].reshape(-1, 2, 3)
    return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1).astype(np.float32)


def count_guesses(targets: Tensor, priors: Tensor, lesions: Tensor, neutral: Tensor) -> Counts:
    """Compare the guessed targets of a patch with its lesions.

    A prior is *on* a lesion if their IoU is at least 0.1 or the prior's center lies in the lesion
    (which decides for heads whose priors are small cells). A lesion is found if a prior on it has
    a target of at least 0.5 for any class. A guess is what NMS at IoU 0.1 leaves of the priors
    with a target of at least 0.5; it is right if it is on a lesion, and not counted if it is on
    nothing but what is neutral.

    Args:
        targets: (N, C) in [0, 1].
        priors: (N, 6).
        lesions: (K, 6).
        neutral: (M, 6) ignored findings.
    """
    best = targets.amax(dim=-1).topk(min(_MAX_GUESSES, len(targets)))
    chosen = priors[best.indices[best.values >= 0.5]]
    on_lesion = _on(chosen, lesions.to(chosen))
    keep = nms3d(chosen, best.values[: len(chosen)], _OVERLAP)
    right = on_lesion[keep].any(dim=1)
    uncounted = _on(chosen[keep], neutral.to(chosen)).any(dim=1) & ~right
    return Counts(
        found=int(on_lesion.any(dim=0).sum()),
        lesions=len(lesions),
        right=int(right.sum()),
        guesses=len(keep) - int(uncounted.sum()),
    )


def _on(priors: Tensor, boxes: Tensor) -> Tensor:
    """(N, K) bool: the prior is on the box."""
    center = ((priors[:, :3] + priors[:, 3:]) / 2)[:, None]
    inside = ((center >= boxes[:, :3]) & (center < boxes[:, 3:])).all(dim=-1)
    return inside | (box_iou3d(priors, boxes) >= _OVERLAP)
