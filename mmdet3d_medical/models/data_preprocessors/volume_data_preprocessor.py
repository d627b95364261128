"""Stacks volumes and maps HU to the network's range."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor
from torch.nn import functional as F

from mmdet3d_medical.registry import MODELS

from .lazy_scan import LazyScan


@MODELS.register_module()
class VolumeDataPreprocessor(BaseDataPreprocessor):
    """Move volumes to the device, window them, pad them at their ends and stack them.

    Windowing happens on the device, so that int16 volumes travel there. It sets each data sample's
    ``volume_shape`` (D, H, W) as it came and ``batch_input_shape`` as the network gets it.

    Whole scans are better taken by :meth:`scans`, which preprocesses no more than a tile at a time.
    A subclass that changes :meth:`forward` has to change :meth:`prepare` alike.

    Args:
        window: (low, high) in HU; values beyond are clipped.
        value_range: What ``window`` is mapped to.
        pad_size_divisor: Sides are padded to multiples of it, one number or (z, y, x): the
            largest stride of the detector.
        pad_value: Of the padding of volumes that are shorter than others of a batch, in the
            network's range. Default: ``value_range[0]``, which is air or darker.
        non_blocking: Copy to the device without waiting.

    Raises:
        ValueError: If ``window`` is empty or the divisor is below 1.
    """

    added_channels = 0  # of the network's input beyond those of the scan

    def __init__(
        self,
        window: tuple[float, float] = (-1000.0, 400.0),
        value_range: tuple[float, float] = (-1.0, 1.0),
        pad_size_divisor: int | Sequence[int] = 1,
        pad_value: float | None = None,
        non_blocking: bool = False,
    ):
        super().__init__(non_blocking)
        if not window[0] < window[1]:
            raise ValueError(f'window must be (low, high) with low < high, found {window}')
        divisor = pad_size_divisor
        self.divisor = (divisor,) * 3 if isinstance(divisor, int) else tuple(divisor)
        if len(self.divisor) != 3 or min(self.divisor) < 1:
            raise ValueError(f'pad_size_divisor must be >= 1, found {pad_size_divisor}')
        self.window = tuple(window)
        self.value_range = tuple(value_range)
        self.pad_value = value_range[0] if pad_value is None else pad_value

    def forward(self, data: dict, training: bool = False) -> dict:
        """Batch of the samples.

        Args:
            data: ``inputs``, a list of (C, D, H, W) tensors in HU of any sizes or one tensor
                (B, C, D, H, W), and ``data_samples``, a list or None.
            training: Not used.

        Returns:
            ``inputs`` (B, C, D', H', W') float32 and ``data_samples``.

        Raises:
            ValueError: If a volume does not have 4 axes.
        """
        data = self.cast_data(data)
        volumes, samples = list(data['inputs']), data.get('data_samples')
        shape = self._describe(volumes, samples)
        return dict(inputs=self._stack(volumes, shape), data_samples=samples)

    def scans(self, data: dict) -> dict:
        """The samples as whole scans, nothing of which is preprocessed or moved yet.

        Args:
            data: As in :meth:`forward`.

        Returns:
            ``inputs``, a list of :class:`LazyScan` whose parts are those of :meth:`forward`, and
            ``data_samples``, on the device.

        Raises:
            ValueError: If a volume does not have 4 axes.
        """
        volumes, samples = list(data['inputs']), self.cast_data(data.get('data_samples'))
        self._describe(volumes, samples)
        metas = [sample.metainfo for sample in samples or ()] or [{}] * len(volumes)
        pairs = zip(volumes, metas, strict=True)
        scans = [LazyScan(volume, meta, self.prepare) for volume, meta in pairs]
        return dict(inputs=scans, data_samples=samples)

    def prepare(self, part: Tensor, start: Sequence[int], meta: Mapping) -> Tensor:
        """Part of a scan as the network gets it.

        Args:
            part: (C, D, H, W) in HU, moved to the device.
            start: Its first voxel (z, y, x) in the sample's volume.
            meta: Meta information of the sample.

        Returns:
            (C + ``added_channels``, D, H, W) float32, the same as this part of what
            :meth:`forward` makes of the whole.
        """
        return self._windowed(part.to(self.device, non_blocking=self._non_blocking))

    def pad(self, volume: Tensor, shape: Sequence[int]) -> Tensor:
        """Continue a preprocessed (C, D, H, W) volume by its last voxels; itself where it fits.

        For scans thinner than the detector's stride. Air in their place is taken for lesions.
        """
        missing = [want - have for want, have in zip(shape, volume.shape[1:], strict=True)]
        if not any(missing):
            return volume
        padding = [side for extra in reversed(missing) for side in (0, extra)]
        return F.pad(volume[None], padding, mode='replicate')[0]

    def _describe(self, volumes: Sequence[Tensor], samples: Sequence | None) -> tuple[int, ...]:
        """Check the volumes and tell samples their shapes; that of the batch (D, H, W)."""
        for volume in volumes:
            if volume.dim() != 4:
                raise ValueError(f'expected volumes (C, D, H, W), found {tuple(volume.shape)}')
        shape = self._padded_shape(volumes)
        for volume, sample in zip(volumes, samples or (), strict=bool(samples)):
            sample.set_metainfo(dict(volume_shape=tuple(volume.shape[1:]), batch_input_shape=shape))
        return shape

    def _padded_shape(self, volumes: Sequence[Tensor]) -> tuple[int, int, int]:
        largest = [max(volume.shape[axis] for volume in volumes) for axis in (1, 2, 3)]
        return tuple(
            math.ceil(side / step) * step for side, step in zip(largest, self.divisor, strict=True)
        )

    def _stack(self, volumes: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
        batch = torch.full(
            (len(volumes), volumes[0].shape[0], *shape), self.pad_value, device=self.device
        )
        for row, volume in zip(batch, volumes, strict=True):
            depth, height, width = volume.shape[1:]
            row[:, :depth, :height, :width] = self._windowed(volume)
        return batch

    def value_of(self, hu: float) -> float:
        """What the network gets for a density in HU."""
        return float(self._windowed(torch.tensor(float(hu))))

    def _windowed(self, volume: Tensor) -> Tensor:
        (low, high), (bottom, top) = self.window, self.value_range
        scale = (top - bottom) / (high - low)
        # Out of place at first: float volumes are the caller's.
        return volume.float().clamp(low, high).sub_(low).mul_(scale).add_(bottom)


def prepares_parts(preprocessor: BaseDataPreprocessor) -> bool:
    """Whether :meth:`VolumeDataPreprocessor.prepare` does what the preprocessor's ``forward`` does.

    Not so where a subclass changed ``forward`` alone: what it adds would be missing in parts.
    """
    methods = (vars(kind) for kind in type(preprocessor).__mro__)
    latest = next(names for names in methods if 'forward' in names or 'prepare' in names)
    return 'prepare' in latest
