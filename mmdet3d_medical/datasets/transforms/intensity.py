"""Changes of HU that imitate other scanners, doses and reconstruction kernels."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform

from mmdet3d_medical.registry import TRANSFORMS
from mmdet3d_medical.utils.ranges import checked_range

AIR_HU = -1000


class _RandomIntensity(BaseTransform):
    """Changes the voxels, as float32, with probability ``prob``."""

    def __init__(self, prob: float) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in [0, 1], found {prob}')
        self.prob = prob

    def transform(self, results: dict) -> dict:
        rng = results['rng']
        if rng.random() < self.prob:
            results['volume'] = self.change(results['volume'].astype(np.float32), rng)
        return results

    def change(self, volume: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change a volume (C, D, H, W) float32, in place where possible, and return it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        settings = ', '.join(f'{key}={value}' for key, value in vars(self).items())
        return f'{type(self).__name__}({settings})'


@TRANSFORMS.register_module()
class RandomGaussianNoise(_RandomIntensity):
    """Add white noise, as a lower dose would.

    Required and changed key: ``volume``, afterwards float32. Required too: ``rng``.

    Args:
        sigma_range: Smallest and largest standard deviation in HU. Defaults to (0, 30).
        prob: Probability in [0, 1]. Defaults to 0.5.
    """

    def __init__(self, sigma_range: Sequence[float] = (0.0, 30.0), prob: float = 0.5) -> None:
        super().__init__(prob)
        self.sigma_range = checked_range('sigma_range', sigma_range, lowest=0.0)

    def change(self, volume: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = rng.standard_normal(volume.shape, dtype=np.float32)
        return np.add(
            volume, np.multiply(noise, rng.uniform(*self.sigma_range), out=noise), out=volume
        )


@TRANSFORMS.register_module()
class RandomHUShiftScale(_RandomIntensity):
    """Shift and scale HU, as another calibration would; the scale leaves air (-1000 HU) as it is.

    Keys as in :class:`RandomGaussianNoise`.

    Args:
        shift_range: Smallest and largest shift in HU. Defaults to (-20, 20).
        scale_range: Smallest and largest factor. Defaults to (0.95, 1.05).
        prob: Probability in [0, 1]. Defaults to 0.5.
    """

    def __init__(
        self,
        shift_range: Sequence[float] = (-20.0, 20.0),
        scale_range: Sequence[float] = (0.95, 1.05),
        prob: float = 0.5,
    ) -> None:
        super().__init__(prob)
        self.shift_range = checked_range('shift_range', shift_range)
        self.scale_range = checked_range('scale_range', scale_range, lowest=0.0)

    def change(self, volume: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        shift, scale = rng.uniform(*self.shift_range), rng.uniform(*self.scale_range)
        volume *= scale
        volume += shift + AIR_HU * (1 - scale)
        return volume


@TRANSFORMS.register_module()
class RandomSharpness(_RandomIntensity):
    r"""Sharpen or smooth, as another reconstruction kernel would.

    .. math::

        v' = v + a (v - \bar v)

    with the mean of the 3 x 3 x 3 voxels around v: a = -1 gives that mean, 0 gives v, above 0 edges
    and noise are enhanced. Keys as in :class:`RandomGaussianNoise`.

    Args:
        amount_range: Smallest and largest a, at least -1. Defaults to (-0.7, 0.7).
        prob: Probability in [0, 1]. Defaults to 0.5.
    """

    def __init__(self, amount_range: Sequence[float] = (-0.7, 0.7), prob: float = 0.5) -> None:
        super().__init__(prob)
        self.amount_range = checked_range('amount_range', amount_range, lowest=-1.0)

    def change(self, volume: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        tensor = torch.from_numpy(volume)
        smooth = F.avg_pool3d(tensor, 3, stride=1, padding=1, count_include_pad=False)
        return torch.lerp(smooth, tensor, 1 + rng.uniform(*self.amount_range)).numpy()
