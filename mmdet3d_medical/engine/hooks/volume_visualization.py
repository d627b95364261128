"""Pictures of scans, their lesions and what the detector finds, while it is trained or tested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdet3d_medical.registry import HOOKS


@HOOKS.register_module()
class VolumeVisualizationHook(Hook):
    """Draws validation scans for the visualizer's backends, and test scans into a folder.

    It takes ``visualizer=dict(type='VolumeVisualizer', ...)``. With
    ``TensorboardVisBackend`` each validation scan is an image whose slider goes through the
    training. The first scans are the same at each validation.

    Args:
        number: Scans of a validation to draw. Of several processes, the first draws its own.
        test_number: Scans of a test to draw, of each process; None: all.
        score_thr: Lowest score of a detection.
        max_rows: Most lesions and detections of a scan to show, each in three planes.
        test_out_dir: Folder of pictures of the test, in that of its log.

    Raises:
        ValueError: If a number is negative.
    """

    def __init__(
        self,
        number: int = 4,
        test_number: int | None = None,
        score_thr: float = 0.3,
        max_rows: int = 4,
        test_out_dir: str = 'pictures',
    ):
        if min(number, test_number or 0) < 0 or max_rows < 1:
            raise ValueError(
                'number and test_number must not be negative and max_rows at least 1, found '
                f'{number}, {test_number} and {max_rows}'
            )
        self.number = number
        self.test_number = test_number
        self.score_thr = score_thr
        self.max_rows = max_rows
        self.test_out_dir = test_out_dir
        self._drawn = 0

    def before_run(self, runner: Runner) -> None:
        """Refuse a visualizer that does not draw volumes: mmengine's draws nothing at all.

        Raises:
            ValueError: Saying which to set.
        """
        # Here, not above: most commands draw nothing, and matplotlib takes its time.
        from mmdet3d_medical.visualization.visualizer import VolumeVisualizer

        if not isinstance(runner.visualizer, VolumeVisualizer):
            raise ValueError(
                "VolumeVisualizationHook needs visualizer=dict(type='VolumeVisualizer', ...) in "
                f'the config, found {type(runner.visualizer).__name__}'
            )

    def before_val_epoch(self, runner: Runner) -> None:
        """Begin with the first scan again."""
        self._drawn = 0

    def before_test_epoch(self, runner: Runner) -> None:
        """Begin with the first scan again."""
        self._drawn = 0

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[Any]
    ) -> None:
        """Send the first scans to the backends."""
        if not is_main_process():
            return
        for volume, sample in self._next(data_batch, outputs, self.number):
            self._draw(runner, f'val_{sample.scan_id}', volume, sample, step=runner.iter)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[Any]
    ) -> None:
        """Write the first scans, or all."""
        folder = Path(runner.log_dir) / self.test_out_dir
        for volume, sample in self._next(data_batch, outputs, self.test_number):
            name = f'{sample.scan_id}.png'
            self._draw(runner, sample.scan_id, volume, sample, out_file=folder / name)

    def _next(
        self, data_batch: dict, outputs: Sequence[Any], number: int | None
    ) -> Iterator[tuple[Any, Any]]:
        """Volume and sample of the scans of a batch that are still to be drawn."""
        left = None if number is None else max(number - self._drawn, 0)
        pairs = list(zip(data_batch['inputs'], outputs, strict=True))[:left]
        self._drawn += len(pairs)
        yield from pairs

    def _draw(self, runner: Runner, name: str, volume: Any, sample: Any, **options: Any) -> None:
        runner.visualizer.add_datasample(
            name,
            volume,
            sample,
            pred_score_thr=self.score_thr,
            max_rows=self.max_rows,
            **options,
        )
