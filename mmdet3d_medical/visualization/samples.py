"""Pictures of what a pipeline gives and a detector finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmengine.structures import BaseDataElement, InstanceData

from .slices import WIDE, BoxLayer, points_to_show, slice_figure

LESION, IGNORED, DETECTION = 'lime', 'orange', 'red'
NO_BOXES = np.zeros((0, 6), np.float32)


def sample_figure(
    volume: np.ndarray | torch.Tensor,
    sample: BaseDataElement,
    draw_gt: bool = True,
    draw_pred: bool = True,
    score_thr: float = 0.3,
    max_rows: int | None = None,
) -> Figure:
    """Draw slices through the lesions of a sample, then through detections beside them.

    Lesions are green, ignored ones orange, detections red with their scores and in thinner lines,
    so that both are seen where they coincide. Where there is neither, the middle is shown.

    Args:
        volume: (D, H, W) or (1, D, H, W) in HU.
        sample: As :class:`.PackVolumeInputs` makes it, with ``pred_instances`` if it was tested.
        draw_gt: Whether to draw lesions.
        draw_pred: Whether to draw detections.
        score_thr: Lowest score of a detection.
        max_rows: Most points, each a row of three slices; None: all.
    """
    voxels = np.asarray(volume)
    voxels = voxels[0] if voxels.ndim == 4 else voxels
    lesions = _boxes(sample, 'gt_instances') if draw_gt else NO_BOXES
    ignored = _boxes(sample, 'ignored_instances') if draw_gt else NO_BOXES
    found, scores = _detections(sample, score_thr) if draw_pred else (NO_BOXES, NO_BOXES[:, 0])
    counts = [f'{len(lesions)} lesions'] * draw_gt
    if draw_pred and 'pred_instances' in sample:
        counts.append(f'{len(found)} detections of at least {score_thr:g}')
    return slice_figure(
        voxels,
        points_to_show(lesions, found, max_rows, voxels.shape),
        [
            BoxLayer(ignored, IGNORED, width=WIDE),
            BoxLayer(lesions, LESION, width=WIDE),
            BoxLayer(found, DETECTION, [f'{score:.2f}' for score in scores]),
        ],
        spacing=sample.geometry.spacing_zyx,
        title=f'{sample.scan_id}, {" x ".join(map(str, voxels.shape))} voxels: {", ".join(counts)}',
    )


def as_rgb(figure: Figure, dpi: int = 110) -> np.ndarray:
    """(H, W, 3) uint8: a figure as an image."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def _boxes(sample: BaseDataElement, name: str) -> np.ndarray:
    instances = sample.get(name)
    return NO_BOXES if instances is None else _array(instances.bboxes)


def _detections(sample: BaseDataElement, score_thr: float) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 6) and scores (N,), the surest first."""
    found: InstanceData | None = sample.get('pred_instances')
    if found is None:
        return NO_BOXES, NO_BOXES[:, 0]
    boxes, scores = _array(found.bboxes), _array(found.scores)
    order = np.argsort(-scores, kind='stable')
    order = order[scores[order] >= score_thr]
    return boxes[order], scores[order]


def _array(values: Any) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.array(values)
