"""Bodies with rounded, lobed or spiky surfaces, drawn with sub-voxel edges."""

from dataclasses import dataclass

import numpy as np

from .anatomy import Chest
from .grid import Grid, brighten, coverage

SUB_VOXEL = 0.8  # mm; finer steps change a 3 mm nodule's voxels by less than the noise

# Number of bumps, range of their relative height and of their narrowness, for every margin.
MARGINS = {
    'smooth': (2, (-0.1, 0.1), (2, 4)),
    'lobulated': (9, (0.25, 0.6), (8, 18)),
    'spiculated': (16, (0.3, 1.1), (25, 70)),
}


@dataclass(frozen=True)
class Shape:
    """A star-shaped body: an ellipsoid whose radius is raised by bumps in some directions.

    Args:
        radius: Radius in mm before the bumps.
        stretch: Relative semi-axes (3,), their product is 1.
        poles: Unit vectors (J, 3) of the bumps.
        heights: Relative heights (J,).
        narrowness: Concentration of each bump about its pole, (J,).
        softness: Width of the edge in mm.
    """

    radius: float
    stretch: np.ndarray
    poles: np.ndarray
    heights: np.ndarray
    narrowness: np.ndarray
    softness: float

    @classmethod
    def draw(
        cls, diameter: float, margin: str, softness: float, rng: np.random.Generator
    ) -> 'Shape':
        """Draw a body of a ``diameter`` (mm) and a margin of `MARGINS`."""
        bumps, height, narrow = MARGINS[margin]
        poles = np.array([random_direction(rng) for _ in range(bumps)])
        heights, narrowness = rng.uniform(*height, bumps), rng.uniform(*narrow, bumps)
        # A bump exp(k (cos - 1)) averages 1 / (2 k) over the sphere: so much the mean radius grows.
        grown = 1 + float((heights / (2 * narrowness)).sum())
        stretch = np.exp(rng.normal(0, 0.1, 3))
        stretch /= stretch.prod() ** (1 / 3)
        return cls(diameter / 2 / grown, stretch, poles, heights, narrowness, softness)

    @property
    def reach(self) -> float:
        """Distance in mm from the center beyond which there is nothing of the body."""
        bump = 1 + 1.3 * max(self.heights.max(), 0)  # a third more where bumps overlap
        return self.radius * self.stretch.max() * bump + self.softness

    def share(self, grid: Grid, window: tuple[slice, ...], center: np.ndarray) -> np.ndarray:
        """Share of each voxel of ``window`` that the body fills, a mean over sub-voxels."""
        fine = int(np.clip(np.ceil(max(grid.spacing) / SUB_VOXEL), 1, 4))
        offset = zip(grid.axes(window, fine), center.astype(np.float32), self.stretch, strict=True)
        delta = [((axis - c) / s).astype(np.float32) for axis, c, s in offset]
        distance = np.sqrt(sum(d**2 for d in delta))
        surface = np.ones_like(distance)
        for pole, height, narrow in zip(self.poles, self.heights, self.narrowness, strict=True):
            along = sum(d * np.float32(p) for d, p in zip(delta, pole, strict=True))
            cosine = along / (distance + 1e-3)
            surface += np.float32(height) * np.exp(np.float32(narrow) * (cosine - 1))
        inside = coverage(distance - self.radius * surface, self.softness)
        d, h, w = (part.stop - part.start for part in window)
        return inside.reshape(d, fine, h, fine, w, fine).mean((1, 3, 5), dtype=np.float32)


def paint(chest: Chest, shape: Shape, center: np.ndarray, opacity: float, target: float) -> None:
    """Make ``shape`` at ``center`` (mm) denser, toward ``target`` HU by ``opacity``."""
    window = chest.grid.window(center - shape.reach, center + shape.reach)
    brighten(chest.hu[window], opacity * shape.share(chest.grid, window, center), target)


def random_direction(rng: np.random.Generator) -> np.ndarray:
    """A unit vector (3,), uniform on the sphere."""
    way = rng.standard_normal(3)
    return way / np.linalg.norm(way)
