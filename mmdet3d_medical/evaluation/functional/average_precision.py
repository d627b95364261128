"""Average precision of 3D boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# As nnDetection (Baumgartner et al., MICCAI 2021) reports: mean over IoU 0.10, 0.15, ..., 0.50.
IOU_THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 11))
RECALLS = np.linspace(0, 1, 101)  # COCO's


class ScanBoxes(NamedTuple):
    """Boxes of one scan and one class, in that scan's voxels.

    Attributes:
        boxes: (N, 6) predicted, (z1, y1, x1, z2, y2, x2).
        scores: (N,).
        truth: (M, 6) lesions that should be found.
        ignored: (I, 6) lesions on which predictions count neither way.
    """

    boxes: np.ndarray
    scores: np.ndarray
    truth: np.ndarray
    ignored: np.ndarray


def average_precision(
    scans: Sequence[ScanBoxes],
    iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
    max_boxes: int = 100,
) -> np.ndarray:
    """Average precision at several IoU thresholds, by COCO's rules.

    In each scan the ``max_boxes`` best predictions, best first, each take the free lesion with the
    highest IoU of at least the threshold. One that finds none is dropped if it overlaps an
    ignored lesion so much, else it is a false positive. Over all scans, precision is made
    monotone and averaged at the 101 recalls 0, 0.01, ..., 1.

    Args:
        scans: Predictions and lesions of every scan.
        iou_thresholds: T values in (0, 1].
        max_boxes: Most predictions that count in one scan.

    Returns:
        (T,) in [0, 1]; NaN if there is no lesion. Their mean is the mAP of one class.
    """
    thresholds = np.asarray(iou_thresholds, float)
    parts = [_match_scan(scan, thresholds, max_boxes) for scan in scans]
    lesions = sum(len(scan.truth) for scan in scans)
    if not lesions:
        return np.full(len(thresholds), np.nan)
    scores, hits, false = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
    order = np.argsort(-scores, kind='stable')
    hits, false = hits[:, order].cumsum(1), false[:, order].cumsum(1)
    precision = hits / np.maximum(hits + false, 1)
    return np.array([_area(*pair) for pair in zip(hits / lesions, precision, strict=True)])


def _area(recall: np.ndarray, precision: np.ndarray) -> float:
    """Mean of the monotone precision at 101 recalls, 0 beyond the highest recall reached."""
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.append(envelope, 0)[np.searchsorted(recall, RECALLS)].mean())


def _match_scan(scan: ScanBoxes, thresholds: np.ndarray, max_boxes: int):
    """Scores (n,), best first, with hits and false positives (T, n)."""
    order = np.argsort(-scan.scores, kind='stable')[:max_boxes]
    boxes = scan.boxes[order]
    # COCO compares with >=; the tolerance lets an IoU meet the threshold it equals on paper.
    reached = thresholds[:, None] - 1e-9
    ious, dropped = (
        _ious(boxes, scan.truth),
        _ious(boxes, scan.ignored).max(1, initial=0) >= reached,
    )
    hits = np.zeros((len(thresholds), len(boxes)), bool)
    free = np.ones((len(thresholds), len(scan.truth)), bool)
    for box in np.flatnonzero(ious.max(1, initial=0) >= reached.min()):
        overlap = np.where(free, ious[box], -1)
        best = overlap.argmax(1)
        hits[:, box] = overlap.max(1) >= reached[:, 0]
        free[hits[:, box], best[hits[:, box]]] = False
    return scan.scores[order], hits, ~hits & ~dropped


def _ious(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    import torch  # here, as FROC is computed without, and importing it takes seconds

    from mmdet3d_medical.structures import box_iou3d

    pair = (torch.from_numpy(np.asarray(boxes, float).reshape(-1, 6)) for boxes in (a, b))
    return box_iou3d(*pair).numpy()
