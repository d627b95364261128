"""Exact greedy non-maximum suppression of 3D boxes, pruned in space."""

from collections.abc import Iterator

import torch
from torch import Tensor

from .boxes3d import _CHUNK, _EPS, _coordinates, _iou, check_boxes3d

_FIRST_BLOCK, _LAST_BLOCK = 32, 1024  # boxes settled at once: few at first, as clusters die quickly
_GROUP = 32  # neighboring boxes that share one bounding box
_DENSE = 1 << 20  # below so many pairs, comparing all is faster than pruning
_CURVE_BITS = 6  # the space-filling curve visits (2^6)^3 cells


def nms3d(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Greedy non-maximum suppression.

    Boxes are visited by descending score (equal scores: lower index first); a visited box is kept
    and suppresses every later box whose IoU with it is *above* the threshold. Blocks of the best
    boxes left are settled at once, and only boxes of overlapping neighborhoods are compared, so
    the result is exact while time grows with the number of neighbors and memory with N.

    Args:
        boxes: ``(N, 6)``, finite. Flat and inverted boxes overlap nothing, so they are all kept.
        scores: ``(N,)``, without NaN.
        iou_threshold: In [0, 1].

    Returns:
        ``(K,)`` int64, the kept boxes' indices in descending order of score.

    Raises:
        ValueError: If shapes do not fit, a coordinate is not finite, a score is NaN or the
            threshold is outside [0, 1].
    """
    check_scored_boxes(boxes, scores, iou_threshold)
    order = scores.argsort(descending=True, stable=True)
    boxes = _coordinates(boxes.detach()[order])
    alive, kept, size = torch.arange(len(order), device=boxes.device), [], _FIRST_BLOCK
    while len(alive):
        block, alive = alive[:size], alive[size:]
        block = block[_settle(boxes[:, block], iou_threshold)]
        suppressed = torch.zeros_like(alive, dtype=torch.bool)
        for _, targets in _overlapping(boxes[:, block], boxes[:, alive], iou_threshold):
            suppressed[targets] = True
        alive = alive[~suppressed]
        kept.append(block)
        size = min(2 * size, _LAST_BLOCK)
    return order[torch.cat(kept)] if kept else order


def batched_nms3d(boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    """``nms3d`` within each class.

    Args:
        boxes: ``(N, 6)``.
        scores: ``(N,)``.
        labels: ``(N,)`` integers; boxes of different labels never suppress each other.
        iou_threshold: In [0, 1].

    Returns:
        ``(K,)`` int64, indices in descending order of score over all classes.

    Raises:
        ValueError: As ``nms3d``, or if ``labels`` is not of shape ``(N,)``.
    """
    if labels.shape != scores.shape:
        raise ValueError(
            f'labels have shape {tuple(labels.shape)}, '
            f'scores {tuple(scores.shape)}: expected one label per score'
        )
    check_scored_boxes(boxes, scores, iou_threshold)
    keep = torch.zeros_like(scores, dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero()[:, 0]
        keep[members[nms3d(boxes[members], scores[members], iou_threshold)]] = True
    keep = keep.nonzero()[:, 0]
    return keep[scores[keep].argsort(descending=True, stable=True)]


def check_scored_boxes(boxes: Tensor, scores: Tensor, iou_threshold: float) -> None:
    """Raise a ``ValueError`` for what ``nms3d`` refuses."""
    check_boxes3d(boxes)
    if scores.shape != boxes.shape[:1]:
        raise ValueError(
            f'{len(boxes)} boxes have scores of shape {tuple(scores.shape)}, '
            f'expected ({len(boxes)},)'
        )
    if not 0 <= iou_threshold <= 1:
        raise ValueError(f'iou_threshold is {iou_threshold}, expected a value in [0, 1]')
    if scores.isnan().any() or not boxes.isfinite().all():
        broken = int((scores.isnan() | ~boxes.isfinite().all(1)).sum())
        raise ValueError(
            f'{broken} of {len(scores)} boxes have a NaN score or a coordinate that is not '
            'finite; remove them before NMS (has the training diverged?)'
        )


def _settle(boxes: Tensor, iou_threshold: float) -> Tensor:
    """``(n,)`` flags of the survivors among ``(6, n)`` boxes sorted by descending score.

    A box survives unless a surviving better one overlaps it. Iterating this rule from 'all
    survive' settles at least one more box each time, so its fixed point is the greedy result.
    """
    pairs = [torch.stack(pair) for pair in _overlapping(boxes, boxes, iou_threshold)]
    better, worse = torch.cat(pairs, dim=1)
    better, worse = better[better < worse], worse[better < worse]
    survives = torch.ones_like(boxes[0], dtype=torch.bool)
    while True:
        previous, survives = survives, torch.ones_like(survives)
        survives[worse[previous[better]]] = False
        if torch.equal(previous, survives):
            return survives


def _overlapping(
    queries: Tensor, targets: Tensor, iou_threshold: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield indices (query, target) of all pairs with IoU above the threshold, in parts.

    Args:
        queries: ``(6, n)`` coordinates.
        targets: ``(6, m)`` coordinates.
        iou_threshold: In [0, 1].
    """
    dense = queries.shape[1] * targets.shape[1] < _DENSE
    return (_compare_all if dense else _compare_near)(queries, targets, iou_threshold)


def _compare_all(queries, targets, iou_threshold):
    rows = max(_CHUNK // max(targets.shape[1], 1), 1)
    for start in range(0, queries.shape[1], rows):
        ious = _iou(queries[:, start : start + rows, None], targets[:, None])
        query, target = (ious > iou_threshold).nonzero(as_tuple=True)
        yield query + start, target


def _compare_near(queries, targets, iou_threshold):
    """Compare queries with those groups of neighboring targets whose hull they intersect."""
    members = _neighborhoods(targets)
    groups = targets[:, members]
    hulls = torch.cat([groups[:3].amin(2), groups[3:].amax(2)])
    rows = max(_CHUNK // hulls.shape[1], 1)
    for start in range(0, queries.shape[1], rows):
        near = _intersects(queries[:, start : start + rows, None], hulls[:, None])
        for pairs in near.nonzero().split(_CHUNK // _GROUP):
            query, group = pairs.T
            ious = _iou(queries[:, query + start, None], groups[:, group])
            hit, member = (ious > iou_threshold).nonzero(as_tuple=True)
            yield query[hit] + start, members[group[hit], member]


def _intersects(a: Tensor, b: Tensor) -> Tensor:
    """Whether broadcastable ``(6, ...)`` coordinates share volume."""
    apart = torch.zeros((), dtype=torch.bool, device=a.device)
    for axis in range(3):
        apart = apart | (a[axis] >= b[axis + 3]) | (b[axis] >= a[axis + 3])
    return ~apart


def _neighborhoods(boxes: Tensor) -> Tensor:
    """Indices ``(G, _GROUP)`` of ``(6, m)`` boxes in groups of neighbors along a Morton curve.

    The last group is filled up with copies of its last member.
    """
    centers = boxes[:3] + boxes[3:]
    low, high = centers.amin(1, keepdim=True), centers.amax(1, keepdim=True)
    cells = (centers - low) / (high - low).clamp(min=_EPS) * (2**_CURVE_BITS - 1)
    bit = torch.arange(_CURVE_BITS, device=boxes.device)
    numbers = torch.arange(2**_CURVE_BITS, device=boxes.device)
    spread = ((numbers[:, None] >> bit & 1) << 3 * bit).sum(1)  # two zeros after every digit
    z, y, x = spread[cells.long()]
    order = (z << 2 | y << 1 | x).argsort()
    missing = -len(order) % _GROUP
    return torch.cat([order, order[-1:].expand(missing)]).view(-1, _GROUP)
