"""Stacks volumes and maps HU to the network's range."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor
from torch.nn import functional as F

from mmdet3d_medical.registry import MODELS


@MODELS.register_module()
class VolumeDataPreprocessor(BaseDataPreprocessor):
    """Move volumes to the device, window them, pad them at their ends and stack them.

    Windowing happens on the device, so that int16 volumes travel there. It sets each data sample's
    ``volume_shape`` (D, H, W) as it came and ``batch_input_shape`` as the network gets it.

    Args:
        window: (low, high) in HU; values beyond are clipped.
        value_range: What ``window`` is mapped to.
        pad_size_divisor: Sides are padded to multiples of it, one number or (z, y, x): the
            largest stride of the detector.
        pad_value: Of the padding, in the network's range. Default: ``value_range[0]``, which is
            air or darker.
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
        volumes = list(data['inputs'])
        for volume in volumes:
            if volume.dim() != 4:
                raise ValueError(f'expected volumes (C, D, H, W), found {tuple(volume.shape)}')
        samples = data.get('data_samples')
        shape = self._padded_shape(volumes)
        for volume, sample in zip(volumes, samples or (), strict=bool(samples)):
            sample.set_metainfo(
                dict(volume_shape=tuple(volume.shape[1:]), batch_input_shape=shape)
            )
        return dict(inputs=self._stack(volumes, shape), data_samples=samples)

    def pad(self, volume: Tensor, shape: Sequence[int]) -> Tensor:
        """Pad a preprocessed (C, D, H, W) volume at its ends; itself where it already fits."""
        return pad_ends(volume, shape, value=self.pad_value)

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

    def _windowed(self, volume: Tensor) -> Tensor:
        (low, high), (bottom, top) = self.window, self.value_range
        scale = (top - bottom) / (high - low)
        # Out of place at first: float volumes are the caller's.
        return volume.float().clamp(low, high).sub_(low).mul_(scale).add_(bottom)


def pad_ends(volume: Tensor, shape: Sequence[int], **how) -> Tensor:
    """Pad a (C, D, H, W) volume at its ends, ``how`` as torch's ``pad``; itself where it fits."""
    missing = [want - have for want, have in zip(shape, volume.shape[1:], strict=True)]
    if not any(missing):
        return volume
    padding = [side for extra in reversed(missing) for side in (0, extra)]
    return F.pad(volume[None], padding, **how)[0]
