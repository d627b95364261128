"""Anchors: the boxes that a dense detector classifies and refines."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmdet3d_medical.registry import TASK_UTILS

Number3 = float | Sequence[float]


@TASK_UTILS.register_module()
class Anchor3DGenerator:
    """Anchors of given sizes and aspect ratios on the cells of each level.

    The anchors of cell (i, j, k) on a level with stride s are centered at
    ``((i, j, k) + center_offset) * s``. With the default offset of 0.5 flipping a volume whose
    sides are multiples of the stride maps anchors onto anchors, which FocalMix relies on; mmdet's
    2D ``AnchorGenerator`` and MONAI use 0.

    Args:
        strides: Of each level in voxels, each one number or (z, y, x).
        sizes: For each level the sizes of its anchors in voxels, each one number (a cube) or
            (z, y, x).
        ratios: Aspect ratios (z, y, x) every size is multiplied with. Default: the size itself.
        center_offset: Position of the centers within a cell, 0 (corner) to 1.
        round_halves: Round half the sides to whole voxels, to even ones from the middle between
            two, as MONAI does: a side of 5 becomes 4, one of 6 stays.

    Raises:
        ValueError: If levels disagree in number, or for sizes, strides or ratios that are not
            positive.

    Example:
        >>> generator = Anchor3DGenerator(strides=[2], sizes=[[4]])
        >>> generator.grid_priors([(1, 1, 2)])[0].tolist()
        [[-1.0, -1.0, -1.0, 3.0, 3.0, 3.0], [-1.0, -1.0, 1.0, 3.0, 3.0, 5.0]]
    """

    def __init__(
        self,
        strides: Sequence[int | Sequence[int]],
        sizes: Sequence[Sequence[Number3]],
        ratios: Sequence[Sequence[float]] = ((1.0, 1.0, 1.0),),
        center_offset: float = 0.5,
        round_halves: bool = False,
    ):
        if len(strides) != len(sizes):
            raise ValueError(f'{len(strides)} strides but sizes for {len(sizes)} levels')
        if not 0 <= center_offset <= 1:
            raise ValueError(f'center_offset must lie in [0, 1], found {center_offset}')
        self.strides = [tuple(int(s) for s in _positive3('strides', stride)) for stride in strides]
        self.center_offset = center_offset
        self.base_sizes = [
            torch.tensor([_scaled(size, ratio) for size in level for ratio in ratios])
            for level in sizes
        ]
        if round_halves:
            self.base_sizes = [2 * (level / 2).round() for level in self.base_sizes]
            if min(level.min() for level in self.base_sizes) <= 0:
                raise ValueError(f'round_halves leaves nothing of sides up to 1, found {sizes}')

    @property
    def num_levels(self) -> int:
        """Number of levels."""
        return len(self.strides)

    @property
    def num_base_priors(self) -> list[int]:
        """Number of anchors per cell of each level."""
        return [len(level) for level in self.base_sizes]

    @property
    def max_stride(self) -> tuple[int, int, int]:
        """Largest stride (z, y, x): sides that are its multiples give whole cells on all levels."""
        return tuple(max(stride[axis] for stride in self.strides) for axis in range(3))

    def featmap_sizes(self, input_shape: Sequence[int]) -> list[tuple[int, int, int]]:
        """Cells (d, h, w) of each level for an input (D, H, W): ceil(side / stride)."""
        return [
            tuple(-(-side // step) for side, step in zip(input_shape, stride, strict=True))
            for stride in self.strides
        ]

    def grid_priors(
        self, featmap_sizes: Sequence[Sequence[int]], device: torch.device | str = 'cpu'
    ) -> list[Tensor]:
        """Anchors of every level.

        Args:
            featmap_sizes: (d, h, w) of each level.
            device: Where to put them.

        Returns:
            For each level (d * h * w * A, 6) float32 boxes in voxel edges of the input, not
            clipped, ordered by z, y, x and then by size and ratio.
        """
        if len(featmap_sizes) != self.num_levels:
            raise ValueError(
                f'{self.num_levels} levels of anchors, but {len(featmap_sizes)} feature maps'
            )
        return [
            self._level_priors(level, tuple(size), device)
            for level, size in enumerate(featmap_sizes)
        ]

    def _level_priors(
        self, level: int, size: tuple[int, ...], device: torch.device | str
    ) -> Tensor:
        axes = [
            (torch.arange(cells, device=device) + self.center_offset) * step
            for cells, step in zip(size, self.strides[level], strict=True)
        ]
        centers = torch.stack(torch.meshgrid(*axes, indexing='ij'), dim=-1).reshape(-1, 1, 3)
        half = self.base_sizes[level].to(device)[None] / 2
        return torch.cat([centers - half, centers + half], dim=-1).reshape(-1, 6)

    def __repr__(self) -> str:
        return (
            f'Anchor3DGenerator(strides={self.strides}, '
            f'sizes={[level.tolist() for level in self.base_sizes]}, '
            f'center_offset={self.center_offset})'
        )


def _positive3(name: str, value: Number3) -> tuple[float, ...]:
    triple = (value,) * 3 if isinstance(value, (int, float)) else tuple(value)
    if len(triple) != 3 or min(triple) <= 0:
        raise ValueError(f'{name} must be one number > 0 or three (z, y, x), found {value}')
    return triple


def _scaled(size: Number3, ratio: Sequence[float]) -> list[float]:
    pairs = zip(_positive3('sizes', size), _positive3('ratios', ratio), strict=True)
    return [float(side * factor) for side, factor in pairs]
