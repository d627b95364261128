"""The scanner: grid and orientation of a scan, reconstruction kernel, dose and calibration."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mmdet3d_medical.structures import VolumeGeometry

from .anatomy import AIR
from .grid import Grid
from .settings import PhantomSettings

HU_RANGE = (-1024, 3071)  # what 12-bit scanners store


@dataclass(frozen=True)
class Scanner:
    """How one scan is taken.

    Args:
        grid: The voxels.
        geometry: Position and orientation of the stored array in the world.
        flipped: Array axes (z, y, x) stored backwards.
        blur: Standard deviation of the kernel in mm.
        sharpen: Overshoot of the kernel.
        noise: Standard deviation in HU.
        grain: Standard deviation in mm of the noise's correlation.
        offset: Calibration error in HU.
        scale: Calibration factor about air.
    """

    grid: Grid
    geometry: VolumeGeometry
    flipped: tuple[int, ...]
    blur: float
    sharpen: float
    noise: float
    grain: float
    offset: float
    scale: float

    @classmethod
    def draw(cls, settings: PhantomSettings, rng: np.random.Generator) -> 'Scanner':
        """Draw a scanner around the settings' nominal shape and spacing."""
        grid = _draw_grid(settings, rng)
        flipped = ((), (1, 2), (0,))[rng.choice(3, p=[0.75, 0.15, 0.1])]
        return cls(
            grid=grid,
            geometry=_draw_geometry(grid, rng).flipped(flipped),
            flipped=flipped,
            blur=rng.uniform(*settings.blur),
            sharpen=rng.uniform(*settings.sharpen),
            noise=np.exp(rng.uniform(*np.log(settings.noise))),
            grain=rng.uniform(0.5, 1.2),
            offset=rng.uniform(*settings.hu_offset),
            scale=rng.uniform(*settings.hu_scale),
        )

    def acquire(self, hu: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Image (D, H, W) int16 as stored, from the patient's HU (D, H, W) on `grid`."""
        image = ndimage.gaussian_filter(hu, self.blur / np.asarray(self.grid.spacing), truncate=3)
        image += self.sharpen * (image - ndimage.gaussian_filter(image, 1.0, truncate=2))
        noise = rng.standard_normal(hu.shape, dtype=np.float32)
        noise = ndimage.gaussian_filter(
            noise, self.grain / np.asarray(self.grid.spacing), truncate=3
        )
        image += noise * (self.noise / noise.std())
        image = AIR + self.scale * (image - AIR) + self.offset
        stored = np.clip(np.rint(image), *HU_RANGE).astype(np.int16)
        return np.ascontiguousarray(np.flip(stored, self.flipped))

    def to_world(self, point: np.ndarray) -> np.ndarray:
        """World (x, y, z) of a point (3,) in phantom mm."""
        index = self.grid.to_index(point)
        last = np.array(self.grid.shape) - 1
        stored = [last[i] - v if i in self.flipped else v for i, v in enumerate(index)]
        return self.geometry.index_to_world(np.array([stored]))[0]

    def store(self, labels: np.ndarray) -> np.ndarray:
        """A label volume in the orientation of the stored image."""
        return np.ascontiguousarray(np.flip(labels, self.flipped))


def _draw_grid(settings, rng) -> Grid:
    """Spacing varies, the field of view hardly: the shape follows."""
    nominal = np.array(settings.spacing)
    view = np.array(settings.shape) * nominal * rng.uniform(0.96, 1.04)
    plane = rng.uniform(*settings.spacing_factors)
    spacing = np.round(nominal * [rng.choice(settings.thickness_factors), plane, plane], 4)
    shape = np.rint(view / spacing).astype(int)
    return Grid(tuple(map(int, shape)), tuple(map(float, spacing)))


def _draw_geometry(grid: Grid, rng) -> VolumeGeometry:
    """Identity orientation, or the patient lying turned on the table in a few scans."""
    angle = np.deg2rad(rng.uniform(-12, 12)) if rng.random() < 0.15 else 0.0
    turn = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    origin = rng.uniform(-15, 15, 3) - grid.half[::-1] + [0, 0, rng.uniform(-250, 250)]
    return VolumeGeometry(
        origin=tuple(np.round(origin, 4)),
        spacing=grid.spacing[::-1],
        direction=tuple(np.round(turn, 8).ravel()),
        shape=grid.shape,
    )
