"""Views of a patch: mirrored, with axes exchanged, brighter or darker."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

Triple = tuple[int, int, int]

AXES = (0, 1, 2)  # z, y, x
_SAME = 1e-3  # voxels: coordinates closer than this are the same


@dataclass(frozen=True)
class View:
    """Exchange axes, then mirror some, then change the intensity.

    Attributes:
        order: New axis i is the old axis ``order[i]`` of (z, y, x).
        flips: New axes that are mirrored.
        scale: Factor of the intensity, in the network's range.
        shift: What is added to it afterwards.
    """

    order: Triple = AXES
    flips: tuple[int, ...] = ()
    scale: float = 1.0
    shift: float = 0.0

    def apply(self, batch: Tensor, num_channels: int | None = None) -> Tensor:
        """A new batch (B, C, D, H, W) in this view; only the first channels change intensity."""
        batch = batch.permute(0, 1, *(2 + axis for axis in self.order))
        batch = batch.flip([2 + axis for axis in self.flips])
        if (self.scale, self.shift) != (1.0, 0.0):
            batch[:, :num_channels].mul_(self.scale).add_(self.shift)
        return batch

    def apply_to_boxes(self, boxes: Tensor, shape: Sequence[int]) -> Tensor:
        """Boxes (..., 6) of a patch of ``shape`` (D, H, W) as they lie in the view."""
        boxes = boxes[..., [*self.order, *(3 + axis for axis in self.order)]]
        low, high = boxes[..., :3], boxes[..., 3:]
        sides = boxes.new_tensor([shape[axis] for axis in self.order])
        mirrored = torch.tensor([axis in self.flips for axis in AXES], device=boxes.device)
        return torch.cat(
            [torch.where(mirrored, sides - high, low), torch.where(mirrored, sides - low, high)],
            dim=-1,
        )

    def inverse(self) -> View:
        """The view that puts axes back; the intensity stays."""
        order = tuple(self.order.index(axis) for axis in AXES)
        return View(order, tuple(sorted(self.order[axis] for axis in self.flips)))

    def __str__(self) -> str:
        old, new = 'zyx', ''.join('zyx'[axis] for axis in self.order)
        exchanged = f'axes {old} -> {new}' if new != old else ''
        mirrored = f'mirrored {", ".join(old[axis] for axis in self.flips)}' if self.flips else ''
        return ', then '.join(filter(None, (exchanged, mirrored))) or 'identity'


class RandomViews:
    """Draws the K views of FocalMix's target prediction (arXiv 2003.09108, equation 3).

    Only axes that are alike in patch size, strides and spacing are exchanged, so that a view is
    again a patch that the detector could have met.

    Args:
        num: Number of views K; the paper's tables have K = 4.
        flip_axes: Axes of (z, y, x) that may be mirrored.
        permute_axes: Axes that may be exchanged, where they are alike.
        scale_range: Smallest and largest factor of the intensity as the network gets it, about its
            0, which by default is the middle of the HU window.
        shift_range: Smallest and largest addition to it; by default the window is 2 wide.
        per_forward: Views that go through the network together; bounds the memory.
        num_channels: Channels that are image and change intensity, from the first on, or below 0
            all but so many of the last; the others, say coordinates, are only mirrored and
            exchanged together with it. Default: all.

    Raises:
        ValueError: For a number below 1, axes that are not among 0, 1, 2, or a range upside down.
    """

    def __init__(
        self,
        num: int = 4,
        flip_axes: Sequence[int] = AXES,
        permute_axes: Sequence[int] = AXES,
        scale_range: Sequence[float] = (1.0, 1.0),
        shift_range: Sequence[float] = (0.0, 0.0),
        per_forward: int = 1,
        num_channels: int | None = None,
    ):
        if min(num, per_forward) < 1:
            raise ValueError(
                f'num and per_forward must be at least 1, found {num} and {per_forward}'
            )
        for name, axes in (('flip_axes', flip_axes), ('permute_axes', permute_axes)):
            if not set(axes) <= set(AXES):
                raise ValueError(f'{name} must be among 0 (z), 1 (y), 2 (x), found {axes}')
        for name, (low, high) in (('scale_range', scale_range), ('shift_range', shift_range)):
            if low > high:
                raise ValueError(f'{name} must be (smallest, largest), found {(low, high)}')
        self.num = num
        self.flip_axes = tuple(flip_axes)
        self.permute_axes = tuple(permute_axes)
        self.scale_range = tuple(scale_range)
        self.shift_range = tuple(shift_range)
        self.per_forward = per_forward
        self.num_channels = num_channels
        self._kinds: dict[tuple, list[int]] = {}

    def draw(
        self,
        rng: np.random.Generator,
        shape: Sequence[int],
        priors: Tensor,
        spacings: Sequence[Sequence[float]] = (),
    ) -> list[View]:
        """K views, all different where there are so many.

        Args:
            rng: The only source of randomness.
            shape: Of the patches (D, H, W).
            priors: (N, 6), always the same for a shape; their centers tell the strides.
            spacings: Of each patch (z, y, x) in mm; none: the same along all axes.
        """
        views = self.all(shape, priors, spacings)
        chosen = np.resize(rng.permutation(len(views)), self.num)
        return [
            replace(
                views[index],
                scale=float(rng.uniform(*self.scale_range)),
                shift=float(rng.uniform(*self.shift_range)),
            )
            for index in chosen
        ]

    def all(
        self,
        shape: Sequence[int],
        priors: Tensor,
        spacings: Sequence[Sequence[float]] = (),
    ) -> list[View]:
        """All views of patches as they may be drawn, the identity first, intensity unchanged.

        Args:
            shape: As in :meth:`draw`.
            priors: As in :meth:`draw`.
            spacings: As in :meth:`draw`.
        """
        flips = [
            flips
            for number in range(len(self.flip_axes) + 1)
            for flips in itertools.combinations(self.flip_axes, number)
        ]
        key = tuple(shape)
        if key not in self._kinds:
            self._kinds[key] = _axis_kinds(shape, priors)
        spacing = np.round(np.reshape(spacings, (-1, 3)), 3).T.tolist()  # to a micrometer
        orders = self._orders(list(zip(self._kinds[key], spacing, strict=True)))
        return [View(order, flip) for order in orders for flip in flips]

    def _orders(self, kinds: Sequence) -> list[Triple]:
        def legal(new: int, old: int) -> bool:
            may_move = {new, old} <= set(self.permute_axes)
            return new == old or (may_move and kinds[new] == kinds[old])

        return [order for order in itertools.permutations(AXES) if all(map(legal, AXES, order))]


def _axis_kinds(shape: Sequence[int], priors: Tensor) -> list[int]:
    """A number for each axis, equal for axes with the same sides and centers of priors."""
    centers = ((priors[:, :3] + priors[:, 3:]) / 2).double().cpu().numpy()
    grids = [np.unique(np.round(centers[:, axis] / _SAME)) for axis in AXES]

    def alike(a: int, b: int) -> bool:
        return shape[a] == shape[b] and np.array_equal(grids[a], grids[b])

    return [next(other for other in AXES if alike(axis, other)) for axis in AXES]


class PriorPermutations:
    """The permutations of priors that views induce.

    Those of single flips and exchanges are found once for a patch size, all others follow.
    """

    def __init__(self) -> None:
        self._found: dict[tuple, Tensor] = {}

    def of(self, view: View, priors: Tensor, shape: Sequence[int]) -> Tensor:
        """Where each prior's prediction is found in the view.

        Args:
            view: Its intensity does not matter.
            priors: (N, 6) of a patch, always the same for a shape.
            shape: (D, H, W) of the patch.

        Returns:
            (N,) int64 ``index``: prior n of the patch is prior ``index[n]`` of the view, so
            ``prediction_of_view[:, index]`` is in the order of the patch's priors.

        Raises:
            ValueError: If the view moves a prior to where there is none.
        """
        index = self._of_part(View(view.order), priors, tuple(shape))
        for axis in view.flips:
            index = self._of_part(View(flips=(axis,)), priors, tuple(shape))[index]
        return index

    def _of_part(self, part: View, priors: Tensor, shape: Triple) -> Tensor:
        key = (part, shape, priors.device)
        if key not in self._found:
            exact = priors.double().cpu()
            index = match_rows(part.apply_to_boxes(exact, shape).numpy(), exact.numpy())
            if index is None:
                raise ValueError(
                    f'the prior set is not closed under this view: {part}, on patches of '
                    f'{shape} voxels. Make the sides multiples of the largest stride, put '
                    'priors in the middle of cells (center_offset=0.5), and leave axes along '
                    'which priors differ out of flip_axes and permute_axes'
                )
            self._found[key] = torch.from_numpy(index).to(priors.device)
        return self._found[key]


def match_rows(rows: np.ndarray, others: np.ndarray) -> np.ndarray | None:
    """Find the same rows in another array.

    Args:
        rows: (N, K).
        others: (N, K).

    Returns:
        (N,) with ``others[index] == rows`` up to rounding, equal rows in their order, or None
        if there is no such permutation.
    """
    names, number = _names(np.concatenate([rows, others])), len(rows)
    order, other_order = np.lexsort(names[:number].T), np.lexsort(names[number:].T)
    if not np.array_equal(names[:number][order], names[number:][other_order]):
        return None
    index = np.empty(number, dtype=np.int64)
    index[order] = other_order
    return index


def _names(values: np.ndarray) -> np.ndarray:
    """Whole numbers in the place of values, equal for values that differ by rounding only.

    Values are grouped where gaps in their order are small: rounding each by itself would part
    two that lie on both sides of a half.
    """
    distinct, inverse = np.unique(values, return_inverse=True)
    groups = np.cumsum(np.diff(distinct, prepend=distinct[:1]) > _SAME)
    return groups[inverse].reshape(values.shape)
