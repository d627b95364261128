"""Flips and permutations of axes: exact, no voxel is interpolated."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from mmdet3d_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomFlip3D(BaseTransform):
    """Mirror each of the given axes with a probability of its own.

    Required and changed keys: ``volume``, ``geometry``, ``gt_bboxes``. Required too: ``rng``.

    Args:
        axes: Axes of (D, H, W) that may be mirrored. Defaults to (0, 1, 2).
        prob: Probability for each axis, in [0, 1]. Defaults to 0.5.
    """

    def __init__(self, axes: Sequence[int] = (0, 1, 2), prob: float = 0.5) -> None:
        if not set(axes) <= {0, 1, 2}:
            raise ValueError(f'axes must be among 0 (z), 1 (y), 2 (x), found {axes}')
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in [0, 1], found {prob}')
        self.axes = tuple(axes)
        self.prob = prob

    def transform(self, results: dict) -> dict:
        drawn = results['rng'].random(len(self.axes)) < self.prob
        return flip(results, np.array(self.axes)[drawn].tolist())

    def __repr__(self) -> str:
        return f'{type(self).__name__}(axes={self.axes}, prob={self.prob})'


@TRANSFORMS.register_module()
class RandomPermuteAxes(BaseTransform):
    """Exchange axes that are alike, in extent and in spacing.

    Axes that differ are left in place: a permutation never changes the shape of a patch, nor what
    a voxel means. Keys as in :class:`RandomFlip3D`.

    Args:
        axes: Axes of (D, H, W) that may be exchanged. Defaults to (0, 1, 2).
        prob: Probability to draw a permutation at all, in [0, 1]. Defaults to 1.0.
    """

    def __init__(self, axes: Sequence[int] = (0, 1, 2), prob: float = 1.0) -> None:
        if not set(axes) <= {0, 1, 2}:
            raise ValueError(f'axes must be among 0 (z), 1 (y), 2 (x), found {axes}')
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in [0, 1], found {prob}')
        self.axes = tuple(axes)
        self.prob = prob

    def transform(self, results: dict) -> dict:
        rng = results['rng']
        if rng.random() >= self.prob:
            return results
        order = [0, 1, 2]
        for group in alike_axes(results, self.axes):
            for axis, source in zip(group, rng.permutation(group).tolist(), strict=True):
                order[axis] = source
        return permute(results, order)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(axes={self.axes}, prob={self.prob})'


def flip(results: dict, axes: Sequence[int]) -> dict:
    """Mirror volume, boxes and geometry along the given axes of (D, H, W)."""
    if len(axes) == 0:
        return results
    shape, boxes = results['volume'].shape[1:], results['gt_bboxes'].copy()
    for axis in axes:
        boxes[:, [axis, axis + 3]] = shape[axis] - boxes[:, [axis + 3, axis]]
    results['gt_bboxes'] = boxes
    results['volume'] = np.flip(results['volume'], [axis + 1 for axis in axes])
    results['geometry'] = results['geometry'].flipped(axes)
    return results


def permute(results: dict, order: Sequence[int]) -> dict:
    """Permute volume, boxes and geometry: new axis i is the old axis ``order[i]``."""
    results['volume'] = results['volume'].transpose(0, *(axis + 1 for axis in order))
    results['gt_bboxes'] = results['gt_bboxes'][:, [*order, *(axis + 3 for axis in order)]]
    results['geometry'] = results['geometry'].permuted(order)
    return results


def alike_axes(results: dict, axes: Sequence[int]) -> list[list[int]]:
    """Group the axes by extent (voxels) and spacing (to a micrometer)."""
    shape, spacing = results['volume'].shape[1:], results['geometry'].spacing_zyx
    groups: dict[tuple, list[int]] = {}
    for axis in axes:
        groups.setdefault((shape[axis], round(float(spacing[axis]), 3)), []).append(axis)
    return list(groups.values())
