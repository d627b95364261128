"""Small pictures of places in a scan, at its full resolution."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import affine_transform

from mmdet3d_medical.visualization.window import HU_WINDOW, to_gray

SIDE_MM = 60.0
SIDE_PIXELS = 180
GAP = 4
WIDE = 2  # pixels more on both sides of all lines but those of findings, which lie on top
COLORS = {'finding': '#ffd400', 'lesion': '#39d353', 'ignored': '#9a9a9a'}


def place_picture(
    volume: np.ndarray,
    spacing: Sequence[float],
    center: Sequence[float],
    boxes: Sequence[tuple[str, np.ndarray]] = (),
    side: float = SIDE_MM,
    window: Sequence[float] = HU_WINDOW,
) -> str:
    """Axial, coronal and sagittal plane through a point, side by side.

    Args:
        volume: (D, H, W) in HU.
        spacing: Voxel size (z, y, x) in mm.
        center: (z, y, x) in voxel edges.
        boxes: Kind (a key of ``COLORS``) and voxel edges (6,) of each.
        side: Of the pictures in mm.
        window: HU that are black and white.

    Returns:
        A PNG as a data URL.
    """
    canvas = Image.new('RGB', (3 * SIDE_PIXELS + 2 * GAP, SIDE_PIXELS), '#000000')
    for axis in range(3):
        plane = _plane(volume, np.asarray(spacing, float), np.asarray(center), axis, side, window)
        draw = ImageDraw.Draw(plane)
        for kind, box in sorted(boxes, key=lambda pair: pair[0] == 'finding'):
            _outline(draw, np.asarray(box), spacing, center, axis, side, kind)
        if axis != 0:  # z runs to the head, pictures downward
            plane = plane.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        canvas.paste(plane, (axis * (SIDE_PIXELS + GAP), 0))
    data = io.BytesIO()
    canvas.save(data, 'PNG')
    return 'data:image/png;base64,' + base64.b64encode(data.getvalue()).decode()


def _plane(volume, spacing, center, axis, side, window) -> Image.Image:
    """A slice around a point, air beyond the scan's ends.

    It is ``side`` mm wide and high whatever the spacing is, as outlines are drawn in mm.
    """
    middle = np.floor(center)
    index = int(np.clip(middle[axis], 0, volume.shape[axis] - 1))
    others = [other for other in range(3) if other != axis]
    step = side / SIDE_PIXELS / spacing[others]  # voxels a pixel
    first = middle[others] - side / 2 / spacing[others] + step / 2  # its center, in voxel edges
    pixels = affine_transform(
        volume.take(index, axis),
        step,
        first - 0.5,  # a voxel's center has whole numbers there
        (SIDE_PIXELS, SIDE_PIXELS),
        np.float32,
        order=1,
        mode='grid-constant',
        cval=window[0],
    )
    return Image.fromarray(to_gray(pixels, window)).convert('RGB')


def _outline(draw, box, spacing, center, axis, side, kind) -> None:
    if not box[axis] <= center[axis] < box[axis + 3]:
        return
    rows, columns = [other for other in range(3) if other != axis]
    scale = SIDE_PIXELS / side
    corners = []
    for edge in (0, 3):
        for other in (columns, rows):
            offset = (box[other + edge] - np.floor(center[other])) * spacing[other]
            corners.append(float((offset + side / 2) * scale))
    more = 0 if kind == 'finding' else WIDE
    corners = [corner + more * sign for corner, sign in zip(corners, (-1, -1, 1, 1), strict=True)]
    draw.rectangle(corners, outline=COLORS[kind], width=1 + 2 * more)
