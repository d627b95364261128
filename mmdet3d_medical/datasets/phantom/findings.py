"""Findings that are no nodules: alike to a careless eye, apart by shape or size."""

from dataclasses import dataclass

import numpy as np

from .anatomy import Chest
from .grid import brighten, coverage, tube_share
from .nodules import SOFT_TISSUE, Nodule, pick, scan_mix
from .settings import PhantomSettings
from .shapes import Shape, paint, random_direction
from .vessels import Tree

KINDS = {
    'bulb': 0.18, 'scar': 0.1, 'band': 0.08, 'plaque': 0.08, 'plug': 0.1, 'tiny': 0.06,
    'node': 0.14, 'cluster': 0.08, 'patch': 0.09, 'cyst': 0.09,
}  # fmt: skip
UNMEASURED = -1.0  # the diameter LUNA16 gives to what readers only pointed at
CLEARANCE = (
    12.0  # mm from a nodule's surface: twice what LUNA16 takes an unmeasured finding to reach
)


@dataclass(frozen=True)
class Finding:
    """Something that is no nodule.

    Args:
        center: Its center (3,) in mm.
        diameter: In mm, `UNMEASURED` where a reader would not measure it.
        kind: Key of `KINDS`.
        listed: Whether a reader wrote it down.
    """

    center: np.ndarray
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
        place = _place(chest, trees, nodules, kind, rng)
        if place is None:
            continue
        center, way = place
        opacity = settings.ground_glass if kind == 'patch' else settings.contrast
        diameter = _DRAW[kind](chest, center, way, rng.uniform(*opacity), rng)
        listed = bool(rng.random() < settings.listed_fraction)
        findings.append(Finding(center, diameter or UNMEASURED, kind, listed))
    return findings


def _place(chest, trees, nodules, kind, rng) -> tuple[np.ndarray, np.ndarray] | None:
    """Center and direction of a finding clear of every nodule, or None after a few tries."""
    for _ in range(10):
        center, way = None, random_direction(rng)
        if kind == 'bulb':
            tree = trees[rng.integers(len(trees))]
            node = rng.integers(1, len(tree.nodes))
            center = tree.nodes[node]
            way = center - tree.nodes[tree.parents[node]]
            way = way / np.linalg.norm(way)
        else:
            depth = (-np.inf, 2.5) if kind in ('plaque', 'scar') else (3.0, np.inf)
            center = chest.space.sample(rng, depth)
        if center is None:
            continue
        if kind == 'plaque':
            way = chest.space.outward(center, 12.0)
            center = center + way * chest.grid.voxel
        gaps = [np.linalg.norm(center - n.center) - n.diameter / 2 for n in nodules]
        if min(gaps, default=np.inf) > CLEARANCE:
            return center, way
    return None


def _bulb(chest, center, way, opacity, rng) -> None:
    """A spindle-like swelling of a vessel, three times as long as wide."""
    radius = rng.uniform(1.3, 2.4)
    points = center + np.linspace(-1, 1, 5)[:, None] * way * 3 * radius
    _chain(chest, points, radius * np.array([0.5, 0.85, 1.0, 0.85, 0.5]), 1.0)


def _scar(chest, center, way, opacity, rng) -> None:
    """Thin strands that meet at a place on the pleura."""
    for _ in range(rng.integers(2, 5)):
        points = center + np.linspace(0, rng.uniform(8, 18), 4)[:, None] * random_direction(rng)
        points[1:] += rng.normal(0, 1.0, (3, 3))
        _chain(chest, points, np.array([1.6, 1.2, 0.9, 0.6]), opacity)


def _plug(chest, center, way, opacity, rng) -> None:
    """A bronchus filled with mucus: a thick forked tube."""
    radius = rng.uniform(1.6, 2.6)
    for bend in (-2 * way, 0.6 * random_direction(rng), 0.6 * random_direction(rng)):
        points = center + np.linspace(0, rng.uniform(8, 14), 3)[:, None] * (way + bend)
        _chain(chest, points, radius * np.array([1.0, 0.9, 0.7]), opacity)


def _band(chest, center, way, opacity, rng) -> None:
    """A flat sheet of collapsed lung."""
    reach = rng.uniform(7, 15)
    window, height, across = _disc(chest, center, way, reach)
    sheet = coverage(np.abs(height) - rng.uniform(0.5, 1.0), chest.grid.voxel)
    brighten(chest.hu[window], opacity * sheet * coverage(across - 0.8 * reach, 4), SOFT_TISSUE)


def _plaque(chest, center, way, opacity, rng) -> None:
    """A flat thickening of the pleura, four times as wide as thick, at times calcified."""
    reach = rng.uniform(5, 10)
    window, height, across = _disc(chest, center, way, reach)
    level = np.sqrt((across / reach) ** 2 + (height / (0.25 * reach)) ** 2) - 1
    target = SOFT_TISSUE if rng.random() < 0.7 else 400.0
    brighten(chest.hu[window], opacity * coverage(level * 0.5 * reach, chest.grid.voxel), target)


def _tiny(chest, center, way, opacity, rng) -> float:
    """A round lesion too small to count as a nodule; returns its diameter in mm."""
    diameter = rng.uniform(1.5, 2.3)
    paint(chest, Shape.draw(diameter, 'smooth', 0.5, rng), center, opacity, SOFT_TISSUE)
    return diameter


def _node(chest, center, way, opacity, rng) -> None:
    """A lymph node inside the lung: a lens as large as a nodule, a third as thick as wide."""
    reach = rng.uniform(2.5, 5.5)
    window, height, across = _disc(chest, center, way, reach + 2)
    level = np.sqrt((across / reach) ** 2 + (height / (0.35 * reach)) ** 2) - 1
    share = opacity * coverage(level * 0.6 * reach, chest.grid.voxel)
    brighten(chest.hu[window], share, SOFT_TISSUE)


def _cluster(chest, center, way, opacity, rng) -> None:
    """Inflamed small airways: a group of dots, each like a small nodule."""
    for _ in range(rng.integers(4, 9)):
        dot = Shape.draw(rng.uniform(2.5, 4.5), 'smooth', 0.6, rng)
        paint(chest, dot, center + rng.normal(0, 5.0, 3), opacity, SOFT_TISSUE)


def _patch(chest, center, way, opacity, rng) -> None:
    """A patch of inflammation: ground glass without a round outline, longer than wide."""
    for step in np.linspace(-1, 1, 4):
        blob = Shape.draw(rng.uniform(6, 11), 'lobulated', 2.0, rng)
        spot = center + step * rng.uniform(5, 9) * way + rng.normal(0, 1.5, 3)
        paint(chest, blob, spot, opacity * rng.uniform(0.5, 1.0), SOFT_TISSUE)


def _cyst(chest, center, way, opacity, rng) -> None:
    """A sac of air with a thin wall."""
    radius = rng.uniform(3.5, 9.0)
    window, height, across = _disc(chest, center, way, radius + 3)
    wall = np.abs(np.hypot(height, across) - radius) - rng.uniform(0.5, 0.9)
    brighten(chest.hu[window], opacity * coverage(wall, chest.grid.voxel), SOFT_TISSUE)


_DRAW = {
    'bulb': _bulb,
    'scar': _scar,
    'band': _band,
    'plaque': _plaque,
    'plug': _plug,
    'tiny': _tiny,
    'node': _node,
    'cluster': _cluster,
    'patch': _patch,
    'cyst': _cyst,
}


def _chain(chest, points, radii, opacity) -> None:
    """Draw a chain of tubes through ``points`` (N, 3) with radii (N,), in mm."""
    reach = radii.max() + 2 * chest.grid.voxel
    window = chest.grid.window(points.min(0) - reach, points.max(0) + reach)
    axes = chest.grid.axes(window)
    shares = [
        tube_share(axes, start, end, radius, chest.grid.voxel)
        for start, end, *radius in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True)
    ]
    brighten(chest.hu[window], opacity * np.maximum.reduce(shares), SOFT_TISSUE)


def _disc(chest, center, normal, reach) -> tuple[tuple[slice, ...], np.ndarray, np.ndarray]:
    """Window around ``center``, its voxels' height above and distance along the plane in mm."""
    window = chest.grid.window(center - reach, center + reach)
    delta = [a - c for a, c in zip(chest.grid.axes(window), center.astype(np.float32), strict=True)]
    height = sum(d * np.float32(n) for d, n in zip(delta, normal, strict=True))
    across = np.sqrt(np.maximum(sum(d**2 for d in delta) - height**2, 0))
    return window, height, across
