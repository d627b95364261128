"""Pulmonary vessels and airways: trees grown from the hilum to random places in the lung."""

from dataclasses import dataclass

import numpy as np

from .anatomy import AIR, LEFT_LUNG, RIGHT_LUNG, TRACHEA, Chest
from .grid import Grid, blend, brighten, draw_tube
from .settings import PhantomSettings

MURRAY = (
    2.7  # exponent by which radii join at a branching: r^2.7 of the parent is the sum over children
)


@dataclass(frozen=True)
class Tree:
    """A branching tree of tubes.

    Args:
        nodes: Points (N, 3) in phantom mm; node 0 is the root.
        parents: Index (N,) of each node's parent, lower than its own; -1 at the root.
        radii: Radius (N,) in mm.
    """

    nodes: np.ndarray
    parents: np.ndarray
    radii: np.ndarray

    def draw(self, share: np.ndarray, grid: Grid, factor: float = 1.0) -> None:
        """Raise ``share`` to what the tree covers, its radii times ``factor``."""
        for child in range(1, len(self.nodes)):
            parent = self.parents[child]
            radii = (factor * self.radii[parent], factor * self.radii[child])
            # A thick parent's radius would make a club of a thin branch's first segment.
            radii = (min(radii[0], 1.4 * radii[1]), radii[1])
            draw_tube(share, grid, self.nodes[parent], self.nodes[child], radii)


def grow_tree(
    root: np.ndarray, targets: np.ndarray, leaf_radius: float, rng: np.random.Generator, step: float
) -> Tree:
    """Connect targets, nearest first, to the tree where the way from the root stays short.

    Args:
        root: (3,) mm.
        targets: Ends (M, 3) mm.
        leaf_radius: Radius at the ends in mm.
        rng: Generator.
        step: Length of a segment in mm.
    """
    order = np.argsort(((targets - root) ** 2).sum(1))
    nodes, length, parents = root[None], np.zeros(1), [-1]
    for target in targets[order]:
        away = np.linalg.norm(nodes - target, axis=1)
        start = int(np.argmin(away + 0.35 * length))
        count = max(int(round(away[start] / step)), 1)
        way = np.linspace(nodes[start], target, count + 1)[1:]
        way[:-1] += rng.normal(0, 0.12 * step, (count - 1, 3))
        parents += [start, *range(len(nodes), len(nodes) + count - 1)]
        length = np.append(length, length[start] + away[start] * np.arange(1, count + 1) / count)
        nodes = np.concatenate([nodes, way])
    parents = np.asarray(parents)
    return Tree(nodes, parents, leaf_radius * _ends(parents) ** (1 / MURRAY))


def _ends(parents: np.ndarray) -> np.ndarray:
    """Number of tree ends beyond each node."""
    ends = np.ones(len(parents))
    ends[parents[1:]] = 0
    for child in range(len(parents) - 1, 0, -1):
        ends[parents[child]] += ends[child]
    return ends


def add_vessels(chest: Chest, settings: PhantomSettings, rng: np.random.Generator) -> list[Tree]:
    """Draw arteries and veins of both lungs into ``chest``; returns the trees."""
    grid = chest.grid
    count = int(100 * rng.uniform(*settings.vessel_density) * min(grid.scale, 1.5) ** 2)
    radius = rng.uniform(0.5, 0.8)
    share = np.zeros(grid.shape, np.float32)
    trees = []
    for side in (LEFT_LUNG, RIGHT_LUNG):
        for level in (0.08, -0.12):
            targets = [chest.space.sample(rng, (3.0, np.inf), side) for _ in range(max(count, 4))]
            targets = np.array([target for target in targets if target is not None])
            trees.append(
                grow_tree(hilum(grid, side, level), targets, radius, rng, 9.0 * grid.scale)
            )
            trees[-1].draw(share, grid)
    brighten(chest.hu, share, chest.look.blood)
    return trees


def hilum(grid: Grid, side: int, level: float) -> np.ndarray:
    """Where vessels and bronchi enter a lung, mm."""
    return np.array([level, 0.08, 0.22 if side == LEFT_LUNG else -0.22]) * grid.half


def add_airways(chest: Chest, rng: np.random.Generator) -> None:
    """Draw trachea and bronchi: a wall of soft tissue around air.

    The lumen up to the hila is labeled `TRACHEA`.
    """
    grid = chest.grid
    lumen, wall = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
    carina = np.array([0.25, 0.08, 0.0]) * grid.half
    thickness = rng.uniform(1.2, 1.5)
    radius = rng.uniform(6.5, 8.5) * grid.scale
    tubes = [(carina + [grid.half[0], 0, 0], carina, radius)]
    tubes += [(carina, hilum(grid, side, 0.08), 0.7 * radius) for side in (LEFT_LUNG, RIGHT_LUNG)]
    for start, end, size in tubes:
        draw_tube(wall, grid, start, end, (size * 1.2, size * 1.2))
        draw_tube(lumen, grid, start, end, (size, size))
    central = lumen >= 0.5
    for side in (LEFT_LUNG, RIGHT_LUNG):
        targets = np.array(
            [chest.space.sample(rng, (8 * grid.scale, np.inf), side) for _ in range(10)]
        )
        tree = grow_tree(hilum(grid, side, 0.08), targets, 0.9 * grid.scale, rng, 12 * grid.scale)
        tree.draw(wall, grid, thickness)
        tree.draw(lumen, grid)
    brighten(chest.hu, wall, 20.0)
    blend(chest.hu, lumen, AIR + 10)
    chest.labels[central] = TRACHEA
