"""The voxel grid a phantom is drawn on, and drawing with partial volume.

Phantom coordinates are millimeters in array order (z, y, x) with 0 in the middle of the volume:
z grows toward the head, y toward the back, x toward the patient's left (LPS).
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class Grid:
    """A regular voxel grid centered on the phantom's origin.

    Args:
        shape: Voxels along (z, y, x).
        spacing: Voxel size in mm along (z, y, x).
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]

    @property
    def half(self) -> np.ndarray:
        """Half the field of view in mm, (3,)."""
        return np.multiply(self.shape, self.spacing) / 2

    @property
    def voxel(self) -> float:
        """Mean voxel size in mm: how wide an edge looks."""
        return float(np.mean(self.spacing))

    @property
    def scale(self) -> float:
        """Size of the chest against the nominal one, whose field of view is 256 mm wide."""
        return float(self.half[1:].mean() / 128)

    def to_index(self, points: np.ndarray) -> np.ndarray:
        """Phantom mm (..., 3) -> continuous voxel index (..., 3)."""
        return points / np.asarray(self.spacing) + (np.asarray(self.shape) - 1) / 2

    def to_mm(self, index: np.ndarray) -> np.ndarray:
        """Voxel index (..., 3) -> phantom mm (..., 3)."""
        return (index - (np.asarray(self.shape) - 1) / 2) * np.asarray(self.spacing)

    def window(self, low: np.ndarray, high: np.ndarray) -> tuple[slice, ...]:
        """Slices of the voxels that touch the box from ``low`` to ``high`` (mm), clipped."""
        start = np.maximum(np.floor(self.to_index(low)), 0).astype(int)
        stop = np.minimum(np.ceil(self.to_index(high)) + 1, self.shape).astype(int)
        return tuple(slice(a, max(a, b)) for a, b in zip(start, stop, strict=True))

    def axes(
        self, window: tuple[slice, ...] | None = None, oversample: int = 1
    ) -> list[np.ndarray]:
        """Coordinates of (sub-)voxel centers in mm, as three arrays that broadcast to a volume."""
        window = window or tuple(slice(0, n) for n in self.shape)
        axes = []
        for axis, part in enumerate(window):
            steps = np.arange((part.stop - part.start) * oversample)
            index = part.start - 0.5 + (steps + 0.5) / oversample
            line = (index - (self.shape[axis] - 1) / 2) * self.spacing[axis]
            axes.append(line.astype(np.float32).reshape([-1 if i == axis else 1 for i in range(3)]))
        return axes


def coverage(distance: np.ndarray, width: float) -> np.ndarray:
    """Share of a voxel inside a surface at signed ``distance`` (negative inside), both in mm."""
    return np.clip(0.5 - distance / width, 0, 1)


def blend(hu: np.ndarray, share: np.ndarray, target: float | np.ndarray) -> None:
    """Replace ``share`` of each voxel by ``target`` HU, in place."""
    hu += share * (target - hu)


def brighten(hu: np.ndarray, share: np.ndarray, target: float | np.ndarray) -> None:
    """As `blend` where that is denser: a nodule on the pleura leaves the wall as it is."""
    hu += share * np.maximum(target - hu, 0)


def smooth_field(grid: Grid, length: float, rng: np.random.Generator) -> np.ndarray:
    """Random field of about unit variance: noise on knots ``length`` mm apart, interpolated."""
    knots = [max(int(np.ceil(2 * h / length)), 1) + 3 for h in grid.half]
    field = ndimage.gaussian_filter(rng.standard_normal(knots, dtype=np.float32), 0.7)
    field /= field.std() + 1e-6
    for axis, (size, spacing) in enumerate(zip(grid.shape, grid.spacing, strict=True)):
        field = _interpolate(field, axis, 1 + np.arange(size) * spacing / length)
    return field


def _interpolate(field: np.ndarray, axis: int, position: np.ndarray) -> np.ndarray:
    """Linear interpolation along one axis at fractional knots ``position``."""
    low = np.minimum(position.astype(int), field.shape[axis] - 2)
    weight = (position - low).astype(np.float32)
    weight = weight.reshape([-1 if i == axis else 1 for i in range(3)])
    return field.take(low, axis) * (1 - weight) + field.take(low + 1, axis) * weight


def tube_share(
    axes: list[np.ndarray],
    start: np.ndarray,
    end: np.ndarray,
    radii: tuple[float, float],
    width: float,
) -> np.ndarray:
    """Share that a tapered tube fills of each voxel at ``axes``, of size ``width``; all in mm.

    A tube thinner than a voxel fills it in proportion to its cross-section: it fades, not widens.
    """
    along = (end - start).astype(np.float32)
    delta = [axis - p for axis, p in zip(axes, start.astype(np.float32), strict=True)]
    t = sum(d * a for d, a in zip(delta, along, strict=True)) / max(float(along @ along), 1e-6)
    t = np.clip(t, 0, 1)
    distance = np.sqrt(sum((d - t * a) ** 2 for d, a in zip(delta, along, strict=True)))
    radius = radii[0] + (radii[1] - radii[0]) * t
    # An edge of this width at R gives a cross-section of pi (R^2 + width^2 / 12): R is chosen
    # to make that pi radius^2, down to width / 2; thinner tubes fade instead.
    seen = np.maximum(radius**2, width**2 / 3)
    return radius**2 / seen * coverage(distance - np.sqrt(seen - width**2 / 12), width)


def draw_tube(
    share: np.ndarray, grid: Grid, start: np.ndarray, end: np.ndarray, radii: tuple[float, float]
) -> None:
    """Raise ``share``, a volume on ``grid``, to what a tapered tube fills."""
    reach = max(radii) + max(grid.spacing)
    window = grid.window(np.minimum(start, end) - reach, np.maximum(start, end) + reach)
    if all(part.start < part.stop for part in window):
        part = share[window]
        np.maximum(part, tube_share(grid.axes(window), start, end, radii, grid.voxel), out=part)
