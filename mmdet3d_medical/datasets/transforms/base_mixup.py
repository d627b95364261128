"""What both kinds of MixUp draw."""

import numpy as np
from mmcv.transforms import BaseTransform

from ..samplers import Draw


class BaseMixUp(BaseTransform):
    """What MixUp of patches and of objects have in common.

    Args:
        eta: Parameter of Beta(eta, eta); 0 turns mixing off.
        p: Probability that a patch or an object is mixed.
        num_channels: Channels to mix, from the first on, or below 0 all but so many of the last;
            ``None`` for all.

    Raises:
        ValueError: If eta is negative or infinite, or p not in [0, 1].
    """

    def __init__(self, eta: float, p: float, num_channels: int | None) -> None:
        if not 0 <= eta < np.inf:
            raise ValueError(f'eta must be at least 0, which turns mixing off, found {eta}')
        if not 0 <= p <= 1:
            raise ValueError(f'p must be in [0, 1], found {p}')
        self.eta = eta
        self.p = p
        self.num_channels = num_channels

    def draw_lambda(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """Weights lambda' (number,) of the dominant members, float32 in [0.5, 1].

        Equations 10 and 11: lambda ~ Beta(eta, eta), lambda' = max(lambda, 1 - lambda). Drawn with
        numpy: at tiny eta torch's Beta gives 0.5, where 0 or 1 is right.
        """
        if self.eta == 0:
            return np.ones(number, np.float32)
        lam = rng.beta(self.eta, self.eta, number)
        mixed = rng.random(number) < self.p
        return np.where(mixed, np.maximum(lam, 1 - lam), 1).astype(np.float32)

    def get_indexes(self, dataset) -> list[Draw]:
        """Which sample of a ``VolumeDetDataset`` becomes ``mix_results``.

        ``MultiImageMixDataset`` hands over no generator, so this draws from numpy's global state,
        which mmengine seeds in every worker: the same in every run, but a run that resumes gets
        other partners.
        """
        return [Draw(np.random.randint(len(dataset)), np.random.randint(1 << 31))]

    def __repr__(self) -> str:
        settings = ', '.join(f'{key}={value!r}' for key, value in vars(self).items())
        return f'{type(self).__name__}({settings})'


def sample_generator(results: dict) -> np.random.Generator:
    """The sample's generator; without one, a generator from numpy's global state."""
    if 'rng' in results:
        return results['rng']
    return np.random.default_rng(np.random.randint(1 << 31))
