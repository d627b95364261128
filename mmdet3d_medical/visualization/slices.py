"""Pictures of a volume: three orthogonal slices through each point, with boxes."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .window import HU_WINDOW

PLANES = ('axial', 'coronal', 'sagittal')  # across z, y, x
WIDE = 3.0  # points: lines of lesions, which show on both sides of a detection's
TITLE_WIDTH = 80  # letters in a line that is as wide as the figure


@dataclass(frozen=True)
class BoxLayer:
    """Boxes of one kind.

    Args:
        boxes: (N, 6) voxel edges (z1, y1, x1, z2, y2, x2).
        color: Any color of matplotlib.
        texts: What to write at each box, N strings; nothing if empty.
        width: Of lines in points. Where boxes may coincide, those drawn first are to be wider.
    """

    boxes: np.ndarray
    color: str = 'lime'
    texts: Sequence[str] = ()
    width: float = 1.2


def slice_figure(
    volume: np.ndarray,
    points: np.ndarray,
    layers: Sequence[BoxLayer] = (),
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    window: Sequence[float] = HU_WINDOW,
    title: str = '',
) -> Figure:
    """Draw axial, coronal and sagittal slices, one row for each point.

    Args:
        volume: (D, H, W) in HU; a memory map is read only where it is drawn.
        points: (M, 3) voxel coordinates (z, y, x), in the same units as boxes, M >= 1.
        layers: Boxes to outline, where a slice cuts them.
        spacing: Voxel size (z, y, x) in mm, for true proportions.
        window: HU that are black and white.
        title: Heading; a long one takes several lines.

    Returns:
        The figure; save it with ``figure.savefig(path)``.
    """
    points = np.asarray(points, float).reshape(-1, 3)
    lines = textwrap.wrap(title, TITLE_WIDTH)  # scan ids, of 64 letters say, are not shortened
    height = 3 * len(points) + 0.2 + 0.2 * max(len(lines), 1)
    figure = Figure(figsize=(9, height), layout='constrained')
    figure.suptitle('\n'.join(lines), fontsize=10)
    for row, point in zip(figure.subplots(len(points), 3, squeeze=False), points, strict=True):
        for axis, ax in enumerate(row):
            draw_slice(ax, volume, axis, point[axis], layers, spacing, window)
    return figure


def draw_slice(
    ax: Axes,
    volume: np.ndarray,
    axis: int,
    position: float,
    layers: Sequence[BoxLayer] = (),
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    window: Sequence[float] = HU_WINDOW,
) -> None:
    """Draw the slice across ``axis`` at a voxel coordinate, and the boxes that it cuts.

    Axial slices have the front of the body above, the others the head.
    """
    index = int(np.clip(np.floor(position), 0, volume.shape[axis] - 1))
    rows, columns = [other for other in range(3) if other != axis]
    height, width = volume.shape[rows], volume.shape[columns]
    ax.imshow(
        volume.take(index, axis),
        cmap='gray',
        vmin=window[0],
        vmax=window[1],
        extent=(0, width, height, 0),
        aspect=spacing[rows] / spacing[columns],
    )
    if rows == 0:
        ax.invert_yaxis()
    for layer in layers:
        _draw_boxes(ax, layer, axis, index + 0.5)
    ax.set(xlim=(0, width), xticks=[], yticks=[])
    ax.set_title(f'{PLANES[axis]} {"zyx"[axis]} = {index}', fontsize=8)


def lesion_points(boxes: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Centers (N, 3) of boxes, or without boxes the middle (1, 3) of a volume of that shape."""
    if len(boxes) == 0:
        return np.array([shape], float) / 2
    return (boxes[:, :3] + boxes[:, 3:]) / 2


def points_to_show(
    lesions: np.ndarray, detections: np.ndarray, limit: int | None, shape: Sequence[int]
) -> np.ndarray:
    """Centers of lesions, then of detections outside all of them; at most ``limit``."""
    middles = (detections[:, :3] + detections[:, 3:]) / 2
    inside = ((middles[:, None] >= lesions[:, :3]) & (middles[:, None] < lesions[:, 3:])).all(-1)
    return lesion_points(np.concatenate([lesions, detections[~inside.any(1)]]), shape)[:limit]


def _draw_boxes(ax: Axes, layer: BoxLayer, axis: int, position: float) -> None:
    rows, columns = [other for other in range(3) if other != axis]
    texts = layer.texts or [''] * len(layer.boxes)
    for box, text in zip(np.asarray(layer.boxes), texts, strict=True):
        if not box[axis] <= position <= box[axis + 3]:
            continue
        corner = (box[columns], box[rows])
        ax.add_patch(
            Rectangle(
                corner,
                box[columns + 3] - box[columns],
                box[rows + 3] - box[rows],
                fill=False,
                edgecolor=layer.color,
                linewidth=layer.width,
            )
        )
        ax.text(*corner, text, color=layer.color, fontsize=7, va='bottom', clip_on=True)
