"""Nodules: what they look like, where they sit, how they are drawn."""

from dataclasses import dataclass

import numpy as np

from .anatomy import Chest
from .settings import PhantomSettings
from .shapes import Shape, paint, random_direction
from .vessels import Tree

# Quantiles of the diameter in mm of LUNA16's 1,186 nodules.
QUANTILES = (0, 0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99, 1)
DIAMETERS = (3.25, 3.59, 4.09, 4.4, 4.9, 5.11, 5.31, 5.9, 6.43, 7.3, 8.72, 9.7, 11.07, 15.48, 18.95,
             23.99, 32.27)  # fmt: skip
# How many nodules LUNA16's 601 scans with nodules have: number of nodules -> scans.
COUNTS = {1: 310, 2: 159, 3: 63, 4: 24, 5: 23, 6: 11, 7: 4, 8: 2, 9: 4, 12: 1}

# More of the rare kinds than in patients: what few scans show of nodules must be far from all.
KINDS = {'solid': 0.44, 'part-solid': 0.18, 'ground-glass': 0.26, 'calcified': 0.12}
MARGINS = {'smooth': 0.4, 'lobulated': 0.35, 'spiculated': 0.25}
SITES = {'isolated': 0.5, 'vessel': 0.25, 'pleura': 0.25}
SOFT_TISSUE = 30.0


@dataclass(frozen=True)
class Nodule:
    """A nodule: ``center`` (3,) and ``diameter`` in mm, and its class in each respect."""

    center: np.ndarray
    diameter: float
    kind: str
    margin: str
    site: str


def draw_count(settings: PhantomSettings, rng: np.random.Generator) -> int:
    """Number of nodules in a scan."""
    if rng.random() < settings.healthy_fraction:
        return 0
    share = np.array(list(COUNTS.values())) / sum(COUNTS.values())
    return int(rng.choice(list(COUNTS), p=share))


def draw_diameter(rng: np.random.Generator) -> float:
    """A diameter in mm from LUNA16's distribution."""
    return float(np.exp(np.interp(rng.random(), QUANTILES, np.log(DIAMETERS))))


def scan_mix(
    shares: dict[str, float], concentration: float, rng: np.random.Generator
) -> dict[str, float]:
    """A scan's own shares of the kinds: Dirichlet around the average ones."""
    weights = rng.dirichlet(concentration * len(shares) * np.array(list(shares.values())) + 1e-3)
    return dict(zip(shares, weights, strict=True))


def pick(shares: dict[str, float], rng: np.random.Generator) -> str:
    """One key, drawn by its share."""
    return str(rng.choice(list(shares), p=list(shares.values())))


def add_nodules(
    chest: Chest, trees: list[Tree], settings: PhantomSettings, rng: np.random.Generator
) -> list[Nodule]:
    """Draw a scan's nodules into ``chest`` and return them."""
    mixes = [scan_mix(shares, settings.variety, rng) for shares in (KINDS, MARGINS, SITES)]
    nodules = []
    for _ in range(draw_count(settings, rng)):
        kind, margin, site = (pick(mix, rng) for mix in mixes)
        diameter = draw_diameter(rng)
        if diameter < 5 and kind in ('part-solid', 'ground-glass'):
            kind = 'solid'  # readers do not tell the finer kinds apart in so few voxels
        center, diameter = _place(chest, trees, nodules, site, diameter, rng)
        nodules.append(Nodule(center, diameter, kind, margin, site))
        _draw_nodule(chest, nodules[-1], settings, rng)
    return nodules


def _place(chest, trees, others, site, diameter, rng) -> tuple[np.ndarray, float]:
    """A center that is free, shrinking the nodule when the lung is too small or too full for it."""
    while True:
        for _ in range(30):
            center = _SITES[site](chest, trees, diameter / 2, rng)
            if center is not None and all(
                np.linalg.norm(center - o.center) > (diameter + o.diameter) / 2 + 4 for o in others
            ):
                return center, diameter
        if diameter <= DIAMETERS[0]:
            raise ValueError('no room for a nodule in the lungs: raise the shape or the spacing')
        diameter = max(0.8 * diameter, DIAMETERS[0])


def _isolated(chest, trees, radius, rng) -> np.ndarray | None:
    """Away from the pleura and from vessels one would take it to hang on."""
    center = chest.space.sample(rng, (radius + 2.0, np.inf))
    if center is None:
        return None
    for tree in trees:
        gap = np.linalg.norm(tree.nodes - center, axis=1) - tree.radii - radius
        if (gap[tree.radii > 0.8] < 2.5).any():
            return None
    return center


def _on_vessel(chest, trees, radius, rng) -> np.ndarray | None:
    """Beside a vessel that is thinner than the nodule."""
    tree = trees[rng.integers(len(trees))]
    node = rng.choice(np.flatnonzero(tree.radii < max(0.6 * radius, tree.radii.min() * 1.01)))
    gap = 0.7 * radius + tree.radii[node]
    center = tree.nodes[node] + gap * random_direction(rng)
    nearest = ((chest.space.points - center) ** 2).sum(1).argmin()
    inside = np.linalg.norm(chest.space.points[nearest] - center) < 2 * max(chest.grid.spacing)
    return center if inside and chest.space.depths[nearest] > radius else None


def _on_pleura(chest, trees, radius, rng) -> np.ndarray | None:
    """Broadly on the wall, with most of it in the lung."""
    low = 0.35 * radius
    return chest.space.sample(rng, (low, max(0.8 * radius, low + 2 * max(chest.grid.spacing))))


_SITES = {'isolated': _isolated, 'vessel': _on_vessel, 'pleura': _on_pleura}


def _draw_nodule(chest, nodule, settings, rng) -> None:
    """Blend a nodule into the lung; every kind only makes voxels denser."""
    soft = rng.uniform(1.5, 3.0) if nodule.kind == 'ground-glass' else rng.uniform(0.4, 1.0)
    shape = Shape.draw(nodule.diameter, nodule.margin, soft, rng)
    opacity = rng.uniform(*settings.contrast)
    glass = rng.uniform(*settings.ground_glass)
    if nodule.kind == 'solid':
        paint(chest, shape, nodule.center, opacity, SOFT_TISSUE)
    elif nodule.kind == 'ground-glass':
        paint(chest, shape, nodule.center, glass, SOFT_TISSUE)
    elif nodule.kind == 'part-solid':
        paint(chest, shape, nodule.center, glass, SOFT_TISSUE)
        core = Shape.draw(nodule.diameter * rng.uniform(0.4, 0.6), 'lobulated', 0.6, rng)
        paint(
            chest,
            core,
            nodule.center + rng.normal(0, 0.08 * nodule.diameter, 3),
            opacity,
            SOFT_TISSUE,
        )
    else:
        paint(chest, shape, nodule.center, 1.0, SOFT_TISSUE)
        core = Shape.draw(nodule.diameter * rng.uniform(0.5, 0.95), 'smooth', 0.6, rng)
        paint(chest, core, nodule.center, 1.0, rng.uniform(200, 700))
