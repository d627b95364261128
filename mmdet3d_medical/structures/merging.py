"""One box for each lesion out of what tiles, views or models say of it."""

from __future__ import annotations

import torch
from torch import Tensor

from .boxes3d import box_iou3d, box_volume3d
from .nms import batched_nms3d, check_scored_boxes, nms3d

MERGES = ('nms', 'wbc')
_LEAST = 1e-6  # weight of flat boxes and score of impossible ones, whose sums would vanish


def merge_boxes3d(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    sources: Tensor,
    num_sources: int,
    method: str,
    iou_threshold: float,
    most: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Merge boxes within each class.

    Args:
        boxes: ``(N, 6)``.
        scores: ``(N,)`` probabilities.
        labels: ``(N,)`` integers: classes.
        sources: ``(N,)`` integers: which view or model found a box.
        num_sources: How many there are, those that found nothing too.
        method: 'nms' keeps the best of the boxes that overlap, whoever found them. 'wbc' does so
            for each source by itself, then averages over sources the best ``most`` of each by
            :func:`weighted_box_clustering3d`: what few of them found loses score.
        iou_threshold: In [0, 1]; boxes whose IoU is above it are of one lesion.
        most: Boxes to return.

    Returns:
        ``(K, 6)`` boxes, ``(K,)`` scores and ``(K,)`` labels, best first.

    Raises:
        ValueError: As :func:`~mmdet3d_medical.structures.nms3d`.
    """
    if method == 'nms':
        keep = batched_nms3d(boxes, scores, labels, iou_threshold)[:most]
        return boxes[keep], scores[keep], labels[keep]
    merged = [(boxes[:0], scores[:0], labels[:0])]
    for label in labels.unique():
        kept = torch.cat(
            [
                _best((labels == label) & (sources == source), boxes, scores, iou_threshold, most)
                for source in sources.unique()
            ]
        )
        clusters = weighted_box_clustering3d(
            boxes[kept], scores[kept], sources[kept], iou_threshold, num_sources
        )
        merged.append((*clusters, label.expand(len(clusters[1]))))
    boxes, scores, labels = map(torch.cat, zip(*merged, strict=True))
    order = scores.argsort(descending=True, stable=True)[:most]
    return boxes[order], scores[order], labels[order]


def _best(chosen: Tensor, boxes: Tensor, scores: Tensor, iou_threshold: float, most: int) -> Tensor:
    """Indices of the best boxes of the chosen ``(N,)`` that NMS leaves."""
    members = chosen.nonzero()[:, 0]
    return members[nms3d(boxes[members], scores[members], iou_threshold)[:most]]


def weighted_box_clustering3d(
    boxes: Tensor, scores: Tensor, sources: Tensor, iou_threshold: float, num_sources: int
) -> tuple[Tensor, Tensor]:
    """Merge what several sources found (Jaeger et al., Retina U-Net, 2020, arXiv 1811.08661).

    The best box left and all whose IoU with it is above the threshold are a cluster. Its corners
    are the means of its members', weighted by score times w, and its score is

        sum(s w) / (sum(w) + missing mean(w)),    w = IoU with the best box * volume,

    where ``missing`` counts the sources without a member: a box that one of four found keeps a
    quarter of its score. The paper also weighs by the distance from a patch's center; here each
    place of a scan belongs to one tile only, so that every source speaks of it once.

    Args:
        boxes: ``(N, 6)``, finite; of each source after NMS, as a source's second box of a lesion
            counts like one of another source.
        scores: ``(N,)`` probabilities, without NaN.
        sources: ``(N,)`` integers: which view or model found a box.
        iou_threshold: In [0, 1].
        num_sources: How many there are, those that found nothing too.

    Returns:
        ``(K, 6)`` boxes and ``(K,)`` scores of the clusters, best first.

    Raises:
        ValueError: As :func:`~mmdet3d_medical.structures.nms3d`.
    """
    check_scored_boxes(boxes, scores, iou_threshold)
    boxes = boxes.to(torch.promote_types(boxes.dtype, torch.float32))
    order = scores.argsort(descending=True, stable=True)
    left, merged, merged_scores = order, [], []
    while len(left):
        ious = box_iou3d(boxes[left[:1]], boxes[left])[0]
        member = ious > iou_threshold
        member[0] = True  # a flat box has no IoU with itself
        cluster, left = left[member], left[~member]
        weights = (ious[member] * box_volume3d(boxes[cluster])).clamp(min=_LEAST)
        missing = num_sources - len(sources[cluster].unique())
        total = weights.sum() + missing * weights.mean()
        merged_scores.append((weights * scores[cluster]).sum() / total)
        shares = weights * scores[cluster].clamp(min=_LEAST)
        merged.append((shares[:, None] * boxes[cluster]).sum(0) / shares.sum())
    if not merged:
        return boxes, scores
    boxes, scores = torch.stack(merged), torch.stack(merged_scores)
    order = scores.argsort(descending=True, stable=True)
    return boxes[order], scores[order]
