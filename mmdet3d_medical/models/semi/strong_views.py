"""What the student sees of an unlabeled patch: stronger changes than its teacher's.

They work on batches (B, C, D, H, W) whose HU window goes from -1 to 1, and leave targets alone;
``FocalMixDetector`` maps the range of its preprocessor onto that. Each patch is changed with
probability ``prob``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmdet3d_medical.registry import TASK_UTILS
from mmdet3d_medical.utils.ranges import checked_range


class _StrongView:
    def __init__(self, prob: float) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in [0, 1], found {prob}')
        self.prob = prob

    def __call__(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        """A changed copy of the patches (B, C, D, H, W)."""
        rows = [self.change(row, rng) if rng.random() < self.prob else row for row in image]
        return torch.stack(rows)

    def change(self, patch: Tensor, rng: np.random.Generator) -> Tensor:
        """A changed copy of a patch (C, D, H, W)."""
        raise NotImplementedError


@TASK_UTILS.register_module()
class StrongContrast(_StrongView):
    """Another contrast about the middle of the window, and another brightness.

    Args:
        scale_range: Smallest and largest factor.
        shift_range: Smallest and largest addition.
        prob: Probability in [0, 1].
    """

    def __init__(
        self,
        scale_range: Sequence[float] = (0.7, 1.4),
        shift_range: Sequence[float] = (-0.2, 0.2),
        prob: float = 0.8,
    ) -> None:
        super().__init__(prob)
        self.scale_range = checked_range('scale_range', scale_range, lowest=0.0)
        self.shift_range = checked_range('shift_range', shift_range)

    def change(self, patch: Tensor, rng: np.random.Generator) -> Tensor:
        return patch * rng.uniform(*self.scale_range) + rng.uniform(*self.shift_range)


@TASK_UTILS.register_module()
class StrongNoise(_StrongView):
    """White noise.

    Args:
        sigma_range: Smallest and largest standard deviation; .1 is 70 HU in a window of 1,400 HU.
        prob: Probability in [0, 1].
    """

    def __init__(self, sigma_range: Sequence[float] = (0.0, 0.1), prob: float = 0.5) -> None:
        super().__init__(prob)
        self.sigma_range = checked_range('sigma_range', sigma_range, lowest=0.0)

    def change(self, patch: Tensor, rng: np.random.Generator) -> Tensor:
        noise = rng.standard_normal(tuple(patch.shape), dtype=np.float32)
        return patch + torch.from_numpy(noise).to(patch) * rng.uniform(*self.sigma_range)


@TASK_UTILS.register_module()
class StrongBlur(_StrongView):
    """A mean over 3 x 3 x 3 voxels, in part.

    Args:
        amount_range: Smallest and largest share of the mean in the result, in [0, 1].
        prob: Probability in [0, 1].
    """

    def __init__(self, amount_range: Sequence[float] = (0.3, 1.0), prob: float = 0.3) -> None:
        super().__init__(prob)
        self.amount_range = checked_range('amount_range', amount_range, 0.0, 1.0)

    def change(self, patch: Tensor, rng: np.random.Generator) -> Tensor:
        smooth = F.avg_pool3d(patch, 3, stride=1, padding=1, count_include_pad=False)
        return torch.lerp(patch, smooth, float(rng.uniform(*self.amount_range)))


@TASK_UTILS.register_module()
class StrongErasing(_StrongView):
    """Boxes filled with the patch's mean (Zhong et al. 2017, arXiv 1708.04896).

    Args:
        number: Boxes in a patch.
        size_range: Smallest and largest side as shares of the patch's.
        prob: Probability in [0, 1].
    """

    def __init__(
        self, number: int = 2, size_range: Sequence[float] = (0.1, 0.3), prob: float = 0.5
    ) -> None:
        super().__init__(prob)
        self.number = number
        self.size_range = checked_range('size_range', size_range, 0.0, 1.0)

    def change(self, patch: Tensor, rng: np.random.Generator) -> Tensor:
        patch, mean, sides = patch.clone(), patch.mean(), np.array(patch.shape[1:])
        for _ in range(self.number):
            size = np.maximum(np.rint(rng.uniform(*self.size_range, 3) * sides), 1).astype(int)
            start = rng.integers(sides - size + 1)
            region = tuple(slice(a, a + b) for a, b in zip(start, size, strict=True))
            patch[(slice(None), *region)] = mean
        return patch
