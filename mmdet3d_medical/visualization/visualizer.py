"""mmengine's visualizer for volumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer

from mmdet3d_medical.registry import VISUALIZERS
from mmdet3d_medical.utils.files import replacing

from .samples import as_rgb, sample_figure

DPI = 110


@VISUALIZERS.register_module()
class VolumeVisualizer(Visualizer):
    """Sends pictures of scans to backends, TensorBoard for example.

    Arguments are those of mmengine's ``Visualizer``. :class:`.VolumeVisualizationHook` calls it.
    """

    def add_datasample(
        self,
        name: str,
        image: np.ndarray | torch.Tensor,
        data_sample: BaseDataElement,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | Path | None = None,
        pred_score_thr: float = 0.3,
        max_rows: int | None = 4,
        step: int = 0,
    ) -> None:
        """Draw three planes through each lesion and through the best detections.

        Args:
            name: What backends call the picture.
            image: (1, D, H, W) or (D, H, W) in HU.
            data_sample: With the lesions and, where it was tested, the detections.
            draw_gt: Whether to draw lesions.
            draw_pred: Whether to draw detections.
            show: Whether to open a window.
            wait_time: How long for, in seconds; 0: until a key is pressed.
            out_file: Picture to write in the place of what backends would store.
            pred_score_thr: Lowest score of a detection.
            max_rows: Most lesions and detections to show, lesions first; None: all.
            step: Of the training, for the backends.
        """
        figure = sample_figure(image, data_sample, draw_gt, draw_pred, pred_score_thr, max_rows)
        if show:
            self.show(as_rgb(figure, DPI), win_name=name, wait_time=wait_time)
        if out_file is None:
            self.add_image(name, as_rgb(figure, DPI), step)
            return
        with replacing(out_file) as file:
            figure.savefig(file, dpi=DPI)
