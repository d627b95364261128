"""Findings that are no nodules: alike to a careless eye, apart by shape or size."""

from dataclasses import dataclass

import numpy as np

from .anatomy import Chest
from .grid import brighten, coverage, tube_share
from .nodules import SOFT_TISSUE, Nodule, Shape, paint, pick, scan_mix
from .settings import PhantomSettings
from .vessels import Tree

KINDS = {'bulb': 0.25, 'scar': 0.2, 'band': 0.15, 'plaque': 0.15, 'plug': 0.15, 'tiny': 0.1}


@dataclass(frozen=True)
class Finding:
    """Something that is no nodule; ``diameter`` is -1 where a reader would not measure it."""

    centre: np.ndarray
    diameter: float
    kind: str
    listed: bool


def add_findings(
    chest: Chest,
    trees: list[Tree],
    nodules: list[Nodule],
    settings: PhantomSettings,
    rng: np.random.Generator,
) -> list[Finding]:
    """Draw a scan's findings into ``chest``, clear of its nodules, and return them."""
    mix = scan_mix(KINDS, settings.variety, rng)
    findings = []
    for _ in range(rng.poisson(settings.lookalikes)):
        kind = pick(mix, rng)
        centre = _place(chest, trees, nodules, kind, rng)
        if centre is None:
            continue
        diameter = _DRAW[kind](chest, centre, rng.uniform(*settings.contrast), rng)
        findings.append(
            Finding(centre, diameter, kind, bool(rng.random() < settings.listed_fraction))
        )
    return findings


def _place(chest, trees, nodules, kind, rng) -> np.ndarray | None:
    """A centre whose finding stays clear of every nodule, or None after a few tries."""
    for _ in range(10):
        if kind == 'bulb':
            tree = trees[rng.integers(len(trees))]
            centre = tree.nodes[rng.integers(1, len(tree.nodes))]
        else:
            depth = (0.5, 6.0) if kind in ('plaque', 'scar') else (3.0, np.inf)
            centre = chest.space.sample(rng, depth)
        if centre is not None and all(
            np.linalg.norm(centre - n.centre) > n.diameter / 2 + 12 for n in nodules
        ):
            return centre
    return None


def _direction(rng) -> np.ndarray:
    way = rng.standard_normal(3)
    return way / np.linalg.norm(way)


def _tube(chest, points, radii, opacity) -> None:
    """Draw a chain of tubes through ``points`` (N, 3) with radii (N,), in mm."""
    reach = radii.max() + 2 * chest.grid.voxel
    window = chest.grid.window(points.min(0) - reach, points.max(0) + reach)
    axes = chest.grid.axes(window)
    shares = [
        tube_share(axes, start, end, radius, chest.grid.voxel)
        for start, end, *radius in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True)
    ]
    brighten(chest.hu[window], opacity * np.maximum.reduce(shares), SOFT_TISSUE)


def _bulb(chest, centre, opacity, rng) -> float:
    """A spindle-like swelling of a vessel, three times as long as wide."""
    way = _direction(rng) * rng.uniform(4, 8)
    radius = rng.uniform(1.3, 2.4)
    points = centre + np.linspace(-1, 1, 5)[:, None] * way
    _tube(chest, points, radius * np.array([0.5, 0.85, 1.0, 0.85, 0.5]), 1.0)
    return -1.0


def _scar(chest, centre, opacity, rng) -> float:
    """Thin strands that meet at a place on the pleura."""
    for _ in range(rng.integers(2, 5)):
        points = centre + np.linspace(0, 1, 4)[:, None] * _direction(rng) * rng.uniform(8, 18)
        points[1:] += rng.normal(0, 1.0, (3, 3))
        _tube(chest, points, np.array([1.6, 1.2, 0.9, 0.6]), opacity)
    return -1.0


def _band(chest, centre, opacity, rng) -> float:
    """A flat sheet of collapsed lung."""
    normal = _direction(rng)
    reach = rng.uniform(7, 15)
    window = chest.grid.window(centre - reach, centre + reach)
    delta = [a - c for a, c in zip(chest.grid.axes(window), centre.astype(np.float32), strict=True)]
    height = sum(d * n for d, n in zip(delta, normal, strict=True))
    across = np.sqrt(np.maximum(sum(d**2 for d in delta) - height**2, 0))
    share = coverage(np.abs(height) - rng.uniform(0.5, 1.0), chest.grid.voxel) * coverage(
        across - 0.8 * reach, 4
    )
    brighten(chest.hu[window], opacity * share, SOFT_TISSUE)
    return -1.0


def _plaque(chest, centre, opacity, rng) -> float:
    """A flat thickening of the pleura, four times as wide as thick."""
    normal = chest.space.outward(centre, 12 * chest.grid.scale)
    size = rng.uniform(5, 10)
    window = chest.grid.window(centre - size, centre + size)
    delta = [a - c for a, c in zip(chest.grid.axes(window), centre.astype(np.float32), strict=True)]
    height = sum(d * n for d, n in zip(delta, normal, strict=True))
    across = np.sqrt(np.maximum(sum(d**2 for d in delta) - height**2, 0))
    level = np.sqrt((across / size) ** 2 + (height / (0.25 * size)) ** 2) - 1
    target = rng.choice([SOFT_TISSUE, 400.0], p=[0.7, 0.3])
    share = coverage(level * 0.5 * size, chest.grid.voxel)
    brighten(chest.hu[window], opacity * share, target)
    return -1.0


def _plug(chest, centre, opacity, rng) -> float:
    """A bronchus filled with mucus: a thick forked tube."""
    radius = rng.uniform(1.6, 2.6)
    way = _direction(rng)
    for fork in (-way, way + 0.6 * _direction(rng), way + 0.6 * _direction(rng)):
        points = centre + np.linspace(0, 1, 3)[:, None] * fork * rng.uniform(8, 14)
        _tube(chest, points, radius * np.array([1.0, 0.9, 0.7]), opacity)
    return -1.0


def _tiny(chest, centre, opacity, rng) -> float:
    """A lesion too small to count as a nodule."""
    diameter = rng.uniform(1.5, 2.3)
    paint(chest, Shape.draw(diameter, 'smooth', 0.5, rng), centre, opacity, SOFT_TISSUE)
    return diameter


_DRAW = {
    'bulb': _bulb,
    'scar': _scar,
    'band': _band,
    'plaque': _plaque,
    'plug': _plug,
    'tiny': _tiny,
}
