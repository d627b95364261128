"""Where a voxel lies in the world: the only place that converts between the two.

Boxes are (z1, y1, x1, z2, y2, x2) in voxel *edges*: voxel ``i`` spans ``[i, i + 1)``. In world
coordinates, (x, y, z) mm in LPS as SimpleITK and LUNA16 use them, an integer index is a voxel's
*center*. Hence index = box coordinate - 0.5.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

PERPENDICULAR = 1e-3  # of the products of axes; headers hold few digits
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class VolumeGeometry:
    """Origin, spacing, direction and shape of a volume.

    Args:
        origin: World position (x, y, z) in mm of the center of voxel (0, 0, 0).
        spacing: Distance of voxel centers along the index axes (x, y, z), in mm, > 0.
        direction: 3 x 3 matrix, row-major; column ``k`` is the world direction of index axis ``k``
            in (x, y, z) order, as in SimpleITK.
        shape: Number of voxels (z, y, x), each >= 1.

    Raises:
        ValueError: For a wrong number of values, values that are not finite, spacing <= 0, a
            shape < 1 or a direction matrix whose columns are not orthonormal.
    """

    origin: tuple[float, ...]
    spacing: tuple[float, ...]
    direction: tuple[float, ...]
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        for name, length in (('origin', 3), ('spacing', 3), ('direction', 9)):
            object.__setattr__(self, name, _finite_floats(name, getattr(self, name), length))
        object.__setattr__(self, 'shape', _checked_shape(self.shape))
        if min(self.spacing) <= 0:
            raise ValueError(f'spacing must be > 0 mm along every axis, found {self.spacing}')
        check_direction(self.direction)

    @classmethod
    def from_sitk(cls, image: Any) -> VolumeGeometry:
        """Geometry of a 3D ``SimpleITK.Image``; other dimensions raise ``ValueError``."""
        if image.GetDimension() != 3:
            raise ValueError(f'expected a 3D image, found {image.GetDimension()} dimensions')
        return cls(
            image.GetOrigin(), image.GetSpacing(), image.GetDirection(), image.GetSize()[::-1]
        )

    @classmethod
    def from_dict(cls, fields: dict) -> VolumeGeometry:
        """Inverse of :meth:`to_dict`."""
        return cls(**fields)

    def to_dict(self) -> dict[str, list]:
        """Plain lists, for JSON."""
        return {
            'origin': list(self.origin),
            'spacing': list(self.spacing),
            'direction': list(self.direction),
            'shape': list(self.shape),
        }

    @cached_property
    def _matrix(self) -> np.ndarray:
        """(3, 3): maps an index step (x, y, z) to mm (x, y, z)."""
        return np.reshape(self.direction, (3, 3)) * np.asarray(self.spacing)

    @property
    def spacing_zyx(self) -> np.ndarray:
        """(3,) voxel size in mm along the array axes z, y, x."""
        return np.asarray(self.spacing)[::-1]

    def index_to_world(self, index: np.ndarray) -> np.ndarray:
        """World positions in mm.

        Args:
            index: (N, 3) array indices (z, y, x), float; integers are voxel centers.

        Returns:
            (N, 3) positions (x, y, z) in mm.
        """
        index = _rows(index, 3)
        return index[:, ::-1] @ self._matrix.T + np.asarray(self.origin)

    def world_to_index(self, points: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`index_to_world`: (N, 3) mm (x, y, z) to (N, 3) index (z, y, x)."""
        offset = _rows(points, 3) - np.asarray(self.origin)
        return np.linalg.solve(self._matrix, offset.T).T[:, ::-1]

    def box_to_world(self, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Center and extent of boxes in the world.

        Args:
            boxes: (N, 6) voxel edges (z1, y1, x1, z2, y2, x2).

        Returns:
            Centers (N, 3) as (x, y, z) in mm and extents (N, 3) in mm along the volume's own
            axes z, y, x (they are the box's edge lengths, also in a rotated volume).
        """
        boxes = _rows(boxes, 6)
        centers = self.index_to_world((boxes[:, :3] + boxes[:, 3:]) / 2 - 0.5)
        return centers, (boxes[:, 3:] - boxes[:, :3]) * self.spacing_zyx

    def world_to_box(self, centers: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Boxes around world positions, the inverse of :meth:`box_to_world`.

        Args:
            centers: (N, 3) positions (x, y, z) in mm.
            sizes: (N, 3) extents in mm along the volume's axes z, y, x, or (N,) diameters.

        Returns:
            (N, 6) voxel edges (z1, y1, x1, z2, y2, x2).
        """
        middle = self.world_to_index(centers) + 0.5
        sizes = np.asarray(sizes, dtype=np.float64)
        sizes = np.repeat(sizes[:, None], 3, axis=1) if sizes.ndim == 1 else _rows(sizes, 3)
        half = sizes / self.spacing_zyx / 2
        return np.concatenate([middle - half, middle + half], axis=1)

    def extents_to_world(self, sizes: np.ndarray) -> np.ndarray:
        """Extents by world axis, from extents along the volume's own axes.

        In a rotated volume, an extent is that along the volume axis nearest to the world's: edge
        lengths of the box stay what they are, and do not become those of a box around it.

        Args:
            sizes: (N, 3) in mm along the volume's axes z, y, x, as :meth:`box_to_world` gives.

        Returns:
            (N, 3) in mm along the world's axes x, y, z.
        """
        return _rows(sizes, 3)[:, ::-1][:, self._nearest_axes]

    def extents_from_world(self, sizes: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`extents_to_world`: (N, 3) mm along x, y, z to those along z, y, x."""
        return _rows(sizes, 3)[:, np.argsort(self._nearest_axes)][:, ::-1]

    @cached_property
    def _nearest_axes(self) -> list[int]:
        """The index axis (x, y, z = 0, 1, 2) that runs along each world axis x, y, z."""
        steps = np.abs(np.reshape(self.direction, (3, 3)))  # of world axis, index axis
        orders = [list(order) for order in itertools.permutations(range(3))]
        return max(orders, key=lambda order: steps[range(3), order].sum())

    @property
    def lps_axes(self) -> np.ndarray:
        """(3, 3): column k is the direction of the scan axis nearest to the world's axis k (LPS).

        Extents as :meth:`extents_to_world` gives them lie along these.
        """
        columns = np.reshape(self.direction, (3, 3))[:, self._nearest_axes]
        return columns * np.where(np.diag(columns) < 0, -1.0, 1.0)

    def cropped(self, start: Sequence[int], shape: Sequence[int]) -> VolumeGeometry:
        """Geometry of ``volume[start:start + shape]``; ``start`` (z, y, x) may be negative."""
        origin = self.index_to_world(np.asarray(start, dtype=np.float64)[None])[0]
        return VolumeGeometry(tuple(origin), self.spacing, self.direction, tuple(shape))

    def flipped(self, axes: Sequence[int]) -> VolumeGeometry:
        """Geometry of ``np.flip(volume, axes)``, axes counted z, y, x = 0, 1, 2."""
        corner = np.zeros((1, 3))
        signs = np.ones(3)
        for axis in axes:
            corner[0, axis] = self.shape[axis] - 1
            signs[2 - axis] = -1
        direction = np.reshape(self.direction, (3, 3)) * signs
        origin = self.index_to_world(corner)[0]
        return VolumeGeometry(tuple(origin), self.spacing, tuple(direction.ravel()), self.shape)

    def permuted(self, axes: Sequence[int]) -> VolumeGeometry:
        """Geometry of ``np.transpose(volume, axes)``, axes counted z, y, x = 0, 1, 2."""
        if sorted(axes) != [0, 1, 2]:
            raise ValueError(f'axes must be a permutation of 0, 1, 2, found {tuple(axes)}')
        columns = [2 - axes[2 - k] for k in range(3)]
        direction = np.reshape(self.direction, (3, 3))[:, columns]
        return VolumeGeometry(
            self.origin,
            tuple(self.spacing[k] for k in columns),
            tuple(direction.ravel()),
            tuple(self.shape[axis] for axis in axes),
        )

    def zoomed(self, shape: Sequence[int]) -> VolumeGeometry:
        """Geometry of the same field of view (edge to edge) sampled with ``shape`` voxels."""
        scale = np.asarray(self.shape, dtype=np.float64) / np.asarray(shape)
        origin = self.index_to_world((scale / 2 - 0.5)[None])[0]
        spacing = tuple(np.asarray(self.spacing) * scale[::-1])
        return VolumeGeometry(tuple(origin), spacing, self.direction, tuple(shape))


def _finite_floats(name: str, values: Sequence[float], length: int) -> tuple[float, ...]:
    numbers = tuple(map(float, values))
    if len(numbers) != length or not all(map(math.isfinite, numbers)):
        raise ValueError(f'{name} must be {length} finite numbers, found {numbers}')
    return numbers


def _checked_shape(values: Sequence[int]) -> tuple[int, ...]:
    shape = tuple(map(int, values))
    if len(shape) != 3 or min(shape) < 1 or shape != tuple(values):
        raise ValueError(f'shape must be 3 integers >= 1 (z, y, x), found {tuple(values)}')
    return shape


@functools.lru_cache(maxsize=1024)  # most scans have the same one
def check_direction(direction: tuple[float, ...]) -> None:
    """Refuse a direction matrix that is none of a volume.

    Args:
        direction: Nine finite numbers, row by row.

    Raises:
        ValueError: If its columns are not perpendicular and of length 1.
    """
    columns = [direction[axis::3] for axis in range(3)]
    for i, k in itertools.combinations_with_replacement(range(3), 2):
        product = sum(map(operator.mul, columns[i], columns[k]))
        if not abs(product - (i == k)) <= PERPENDICULAR:  # nor for NaN, of numbers too large
            raise ValueError(
                'direction must be a 3 x 3 matrix of perpendicular axes of length 1, as of a scan '
                f'without gantry tilt, found {direction}'
            )


def _rows(values: np.ndarray, width: int) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        return array.reshape(0, width)
    if array.ndim != 2 or array.shape[1] != width:
        raise ValueError(f'expected an array of shape (N, {width}), found {array.shape}')
    return array
