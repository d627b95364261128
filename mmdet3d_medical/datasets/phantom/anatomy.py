"""Body, bones, lungs, fissures and mediastinum of the synthetic chest.

Sizes are shares of half the field of view unless named mm, so that the chest fills whatever grid it
is drawn on.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .grid import Grid, blend, brighten, coverage, smooth_field
from .settings import PhantomSettings

AIR = -1000.0
LEFT_LUNG, RIGHT_LUNG, TRACHEA = 3, 4, 5  # labels of seg-lungs-LUNA16


@dataclass(frozen=True)
class Look:
    """What differs between patients: tissue HU and the relative size of organs."""

    lung: float
    texture: float
    fat: float
    muscle: float
    blood: float
    bone: float
    heart: float
    width: float
    dome: float
    emphysema: float
    fibrosis: float

    @classmethod
    def draw(cls, settings: PhantomSettings, rng: np.random.Generator) -> 'Look':
        enhanced = rng.random() < 0.35
        return cls(
            lung=rng.uniform(*settings.lung_hu),
            texture=rng.uniform(*settings.texture),
            fat=rng.uniform(-115, -85),
            muscle=rng.uniform(30, 65),
            blood=rng.uniform(120, 280) if enhanced else rng.uniform(30, 50),
            bone=rng.uniform(180, 420),
            heart=rng.uniform(0.85, 1.2),
            width=rng.uniform(0.92, 1.05),
            dome=rng.uniform(0.2, 0.5),
            emphysema=rng.uniform(0, 70) if rng.random() < 0.35 else 0.0,
            fibrosis=rng.uniform(20, 120) if rng.random() < 0.25 else 0.0,
        )


@dataclass
class Chest:
    """A drawn chest.

    Args:
        grid: The grid it is drawn on.
        hu: Volume (D, H, W) float32, HU before the scanner.
        labels: Volume (D, H, W) uint8 as in seg-lungs-LUNA16.
        space: Where in the lungs things can be put.
        look: The patient's tissues.
    """

    grid: Grid
    hu: np.ndarray
    labels: np.ndarray
    space: 'LungSpace'
    look: Look


class LungSpace:
    """Points inside the lungs with their depth below the pleura, on a coarse grid."""

    def __init__(self, grid: Grid, labels: np.ndarray):
        coarse = labels[::2, ::2, ::2]
        spacing = np.multiply(grid.spacing, 2)
        inside = (coarse == LEFT_LUNG) | (coarse == RIGHT_LUNG)
        depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=spacing)[
            1:-1, 1:-1, 1:-1
        ]
        index = np.argwhere(inside)
        self.points = grid.to_mm(2 * index)
        self.depths = depth[inside] - spacing.mean() / 2
        self.sides = coarse[inside]
        self._spacing = spacing

    def sample(
        self, rng: np.random.Generator, depth: tuple[float, float], side: int | None = None
    ) -> np.ndarray | None:
        """A random point (3,) mm whose depth (mm) lies in the range; None if there is none."""
        fits = (self.depths >= depth[0]) & (self.depths <= depth[1])
        if side is not None:
            fits &= self.sides == side
        chosen = np.flatnonzero(fits)
        if not len(chosen):
            return None
        return self.points[rng.choice(chosen)] + rng.uniform(-0.5, 0.5, 3) * self._spacing

    def outward(self, point: np.ndarray, reach: float) -> np.ndarray:
        """Unit vector from ``point`` to the nearest pleura, from depths within ``reach`` mm."""
        offset = self.points - point
        near = (offset**2).sum(1) < reach**2
        slope = -(offset[near] * (self.depths[near] - self.depths[near].mean())[:, None]).sum(0)
        return slope / (np.linalg.norm(slope) + 1e-6)


def build_chest(grid: Grid, settings: PhantomSettings, rng: np.random.Generator) -> Chest:
    """Draw a chest without vessels, airways or lesions.

    Args:
        grid: The grid to draw on.
        settings: The data set's settings.
        rng: Generator of this scan's anatomy.
    """
    look = Look.draw(settings, rng)
    z, y, x = (axis / h for axis, h in zip(grid.axes(), grid.half, strict=True))
    hu = _body(grid, look, z, y, x)
    warp = smooth_field(grid, 40 * grid.scale, rng) * (1.5 * grid.scale)
    pleura = {
        side: _lung_wall(grid, look, side, z, y, x) + warp for side in (LEFT_LUNG, RIGHT_LUNG)
    }
    wall = np.minimum(pleura[LEFT_LUNG], pleura[RIGHT_LUNG])
    middle = _mediastinum(grid, look, z, y, x)
    _draw_ribs(hu, grid, look, wall, z, y, x)
    _draw_heart(hu, grid, look, z, y, x)
    floor = _diaphragm(grid, look, z, y, x)
    labels = np.zeros(grid.shape, np.uint8)
    tissue = _lung_tissue(grid, look, y, rng)
    for side, distance in pleura.items():
        distance = np.maximum.reduce([distance, floor, -middle])
        share = coverage(distance, grid.voxel)
        _add_fissures(tissue, share, grid, side, rng)
        blend(hu, share, tissue)
        labels[distance < 0] = side
    _draw_spine(hu, grid, look, z, y, x)
    return Chest(grid, hu, labels, LungSpace(grid, labels), look)


def _ellipse(grid: Grid, parts: list[np.ndarray], size: float, power: float = 2.0) -> np.ndarray:
    """Signed distance in mm, roughly, to a superellipse.

    ``parts`` are the coordinates over the semi-axes, ``size`` a typical semi-axis in mm at scale 1.
    """
    level = sum(np.abs(part) ** power for part in parts)
    level = np.sqrt(level) if power == 2 else level ** (1 / power)
    return (level - 1) * (size * grid.scale)


def _body(grid, look, z, y, x) -> np.ndarray:
    """Air, a shell of fat, muscle."""
    skin = _ellipse(grid, [y / 0.8, x / (0.97 * look.width)], 110, 2.5) + 6 * np.maximum(z, 0) ** 4
    hu = np.full(grid.shape, AIR, np.float32)
    blend(hu, coverage(skin, grid.voxel), look.fat)
    blend(hu, coverage(skin + 9 * grid.scale, grid.voxel), look.muscle)
    table = np.abs(y - 0.9) * np.float32(grid.half[1]) - 2
    blend(hu, coverage(table, grid.voxel) * (np.abs(x) < 0.8), -400.0)
    return hu


def _lung_wall(grid, look, side, z, y, x) -> np.ndarray:
    """Signed distance to a lung without the cuts of heart, spine and diaphragm: a bullet."""
    middle = 0.46 if side == LEFT_LUNG else -0.47
    apex = np.maximum(z + 0.1, 0) / 1.02
    return _ellipse(grid, [apex, (y - 0.02) / 0.65, (x - middle) / (0.385 * look.width)], 65, 2.3)


def _mediastinum(grid, look, z, y, x) -> np.ndarray:
    """Signed distance to what parts the lungs: mediastinum, heart and spine."""
    center = _ellipse(grid, [(y + 0.05) / 0.75, x / 0.19], 30)
    spine = _ellipse(grid, [(y - 0.56) / 0.2, x / 0.17], 22) + 0 * z
    return np.minimum(np.minimum(center, spine), _heart(grid, look, z, y, x))


def _heart(grid, look, z, y, x) -> np.ndarray:
    size = look.heart
    parts = [(z + 0.35) / (0.5 * size), (y + 0.15) / (0.42 * size), (x - 0.14) / (0.4 * size)]
    return _ellipse(grid, parts, 50)


def _draw_heart(hu, grid, look, z, y, x) -> None:
    """Heart and descending aorta, bright when the scan is contrast enhanced."""
    blend(hu, coverage(_heart(grid, look, z, y, x) + 3 * grid.scale, grid.voxel), look.blood)
    aorta = _ellipse(grid, [(y - 0.3) / 0.11, (x - 0.1) / 0.1], 12) + 0 * z
    blend(hu, coverage(aorta, grid.voxel) * (z < 0.45), look.blood)


def _diaphragm(grid, look, z, y, x) -> np.ndarray:
    """Signed distance to the diaphragm, negative above it: a dome under each lung."""
    side = np.where(x < 0, 1.15, 1.0)  # the liver lifts the right one
    dome = look.dome * side * np.exp(-(((np.abs(x) - 0.45) / 0.3) ** 2) - ((y + 0.1) / 0.5) ** 2)
    return (dome - 0.9 - z) * np.float32(grid.half[0])


def _draw_ribs(hu, grid, look, wall, z, y, x) -> None:
    """Slanted bars in a shell around the lungs, and the sternum."""
    shell = coverage(np.abs(wall - 6 * grid.scale) - 3 * grid.scale, grid.voxel)
    slant = z * np.float32(grid.half[0]) + 0.35 * y * np.float32(grid.half[1])
    pitch = 24 * grid.scale
    bars = coverage(np.abs((slant / pitch) % 1 - 0.5) * pitch - 5 * grid.scale, grid.voxel)
    outer = (y / 0.5) ** 2 + (x / 0.62) ** 2 > 1
    blend(hu, shell * bars * outer, look.bone)
    sternum = _ellipse(grid, [(y + 0.68) / 0.06, x / 0.16], 7, 4.0)
    blend(hu, coverage(sternum, grid.voxel) * ((z > -0.5) & (z < 0.7)), look.bone)


def _draw_spine(hu, grid, look, z, y, x) -> None:
    """Vertebral bodies with a dense rim and discs between them, and the arch of the canal."""
    pitch = 22 * grid.scale
    height = np.abs((z * np.float32(grid.half[0]) / pitch) % 1 - 0.5) * pitch
    body = np.maximum(_ellipse(grid, [(y - 0.56) / 0.16, x / 0.15], 18), height - 8.5 * grid.scale)
    blend(hu, coverage(body, grid.voxel), look.bone * 0.9)
    blend(hu, coverage(body + 3 * grid.scale, grid.voxel), look.bone * 0.5)
    arch = _ellipse(grid, [(y - 0.75) / 0.1, x / 0.12], 11)
    arch = np.maximum(np.abs(arch) - 2.5 * grid.scale, height - 9 * grid.scale)
    blend(hu, coverage(arch, grid.voxel), look.bone)


def _lung_tissue(grid, look, y, rng) -> np.ndarray:
    """HU of lung tissue: a coarse and a fine pattern, denser toward the back by gravity.

    Emphysema leaves holes where a pattern is high, fibrosis a mesh along its zero level.
    """
    coarse = smooth_field(grid, 18, rng)
    fine = smooth_field(grid, 6, rng)
    tissue = look.lung + look.texture * (coarse + 0.5 * fine) + rng.uniform(5, 40) * y
    tissue -= look.emphysema * np.clip(coarse + fine - 0.8, 0, 1)
    tissue += look.fibrosis * np.clip(1 - np.abs(fine) / 0.25, 0, 1)
    return tissue


def _add_fissures(tissue, share, grid, side, rng) -> None:
    """Thin oblique sheets between lobes; the right lung has a horizontal one as well."""
    planes = [np.array([0.6, 0.8, 0.0])]
    if side == RIGHT_LUNG:
        planes.append(np.array([1.0, 0.1, 0.0]))
    z, y, x = grid.axes()
    for normal in planes:
        normal = normal + rng.normal(0, 0.08, 3)
        bend = 4 * grid.scale * np.sin(x / (25 * grid.scale) + rng.uniform(0, 6))
        offset = rng.normal(0, 0.06) * grid.half[0]
        distance = z * normal[0] + y * normal[1] + x * normal[2] + bend - offset
        sheet = coverage(np.abs(distance) - 0.5, grid.voxel)
        brighten(tissue, sheet * share * 0.15, 20.0)
