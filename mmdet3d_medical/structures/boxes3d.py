"""Functions on axis-aligned 3D boxes, ``(N, 6)`` tensors of ``(z1, y1, x1, z2, y2, x2)``.

Coordinates are voxel edges, half-open: a box covers voxel ``i`` wholly when ``z1 <= i`` and
``i + 1 <= z2``. An inverted or flat box has volume zero and overlaps nothing. All functions accept
empty tensors, run on any device and are differentiable; half-precision boxes are computed in
float32, because volumes of more than 65,504 voxels overflow float16.
"""

import math

import torch
from torch import Tensor

_EPS = 1e-12  # smallest divisor, in voxel^3: keeps 0 / 0 of flat boxes at 0 with finite gradients
_CHUNK = 1 << 16  # pairs computed at once: the working set stays in a core's cache


def box_volume3d(boxes: Tensor) -> Tensor:
    """Volumes of boxes.

    Args:
        boxes: ``(..., 6)``.

    Returns:
        ``(...,)`` in voxel^3, 0 for flat and inverted boxes.
    """
    return (boxes[..., 3:] - boxes[..., :3]).clamp(min=0).prod(-1)


def box_iou3d(a: Tensor, b: Tensor) -> Tensor:
    """IoU of every box of ``a`` with every box of ``b``.

    Needs little memory beyond the result.

    Args:
        a: ``(N, 6)``.
        b: ``(M, 6)``.

    Returns:
        ``(N, M)`` in [0, 1]; 0 where both boxes are flat.

    Raises:
        ValueError: If an input is not of shape ``(n, 6)``.
    """
    return _pairwise(_iou, a, b)


def box_giou3d(a: Tensor, b: Tensor) -> Tensor:
    """Generalized IoU (Rezatofighi et al., CVPR 2019, algorithm 1) of all pairs.

    Args:
        a: ``(N, 6)``.
        b: ``(M, 6)``.

    Returns:
        ``(N, M)`` in [-1, 1].

    Raises:
        ValueError: If an input is not of shape ``(n, 6)``.
    """
    return _pairwise(_giou, a, b)


def aligned_box_iou3d(a: Tensor, b: Tensor) -> Tensor:
    """IoU of ``a[i]`` with ``b[i]``: ``(N, 6), (N, 6) -> (N,)`` in [0, 1]."""
    return _iou(_coordinates(a), _coordinates(b))


def aligned_box_giou3d(a: Tensor, b: Tensor) -> Tensor:
    """Generalized IoU of ``a[i]`` with ``b[i]``: ``(N, 6), (N, 6) -> (N,)`` in [-1, 1]."""
    return _giou(_coordinates(a), _coordinates(b))


def clip_boxes3d(boxes: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Clip boxes to a volume.

    Args:
        boxes: ``(N, 6)``.
        shape: Voxels along ``(D, H, W)``.

    Returns:
        ``(N, 6)``; a box wholly outside becomes flat.
    """
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor([*shape, *shape]))


def centers_sizes_to_corners(centers: Tensor, sizes: Tensor) -> Tensor:
    """Boxes ``(N, 6)`` from centers ``(N, 3)`` and extents ``(N, 3)``, both along (z, y, x)."""
    return torch.cat([centers - sizes / 2, centers + sizes / 2], dim=-1)


def corners_to_centers_sizes(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Centers ``(N, 3)`` and extents ``(N, 3)`` of boxes ``(N, 6)``, both along (z, y, x)."""
    low, high = boxes[..., :3], boxes[..., 3:]
    return (low + high) / 2, high - low


def check_boxes3d(boxes: Tensor, name: str = 'boxes') -> None:
    """Raise a ``ValueError`` unless ``boxes`` has shape ``(N, 6)``."""
    if boxes.ndim != 2 or boxes.shape[1] != 6:
        raise ValueError(
            f'{name} has shape {tuple(boxes.shape)}, expected (N, 6) with '
            '(z1, y1, x1, z2, y2, x2); for no boxes pass a tensor of shape (0, 6)'
        )


def _coordinates(boxes: Tensor) -> Tensor:
    """``(N, 6)`` boxes as contiguous ``(6, N)`` coordinates, in float32 or wider."""
    check_boxes3d(boxes)
    return boxes.to(torch.promote_types(boxes.dtype, torch.float32)).T.contiguous()


def _pairwise(overlap, a: Tensor, b: Tensor) -> Tensor:
    """``overlap`` of all pairs of ``(N, 6)`` and ``(M, 6)``, a few rows at a time."""
    a, b = _coordinates(a), _coordinates(b)
    n, m = a.shape[1], b.shape[1]
    result = a.new_empty((n, m))
    rows = math.ceil(_CHUNK / max(m, 1))
    for start in range(0, n, rows):
        part = slice(start, start + rows)
        result[part] = overlap(a[:, part, None], b[:, None, :])
    return result


def _volume(low, high) -> Tensor:
    """Volume between three low and three high coordinates, each a broadcastable tensor."""
    z, y, x = ((end - start).clamp_(min=0) for start, end in zip(low, high, strict=True))
    return z * y * x


def _intersection_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection and union volumes of broadcastable ``(6, ...)`` coordinates."""
    inter = _volume(map(torch.maximum, a[:3], b[:3]), map(torch.minimum, a[3:], b[3:]))
    return inter, _volume(a[:3], a[3:]) + _volume(b[:3], b[3:]) - inter


def _iou(a: Tensor, b: Tensor) -> Tensor:
    inter, union = _intersection_union(a, b)
    return inter / union.clamp(min=_EPS)


def _giou(a: Tensor, b: Tensor) -> Tensor:
    inter, union = _intersection_union(a, b)
    hull = _volume(map(torch.minimum, a[:3], b[:3]), map(torch.maximum, a[3:], b[3:]))
    hull = hull.clamp(min=_EPS)
    return inter / union.clamp(min=_EPS) - (hull - union) / hull
