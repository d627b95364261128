"""Random numbers that are a function of what they are for."""

import zlib

import numpy as np


def generator(purpose: str, *numbers: int) -> np.random.Generator:
    """A generator for one purpose, independent of those for others with the same numbers.

    Without the purpose the sampler's draws would be those of the augmentation: numpy makes the same
    generator of the seeds [0, 5] and [0, 5, 0].

    Args:
        purpose: What is drawn, such as ``'augmentation'``.
        numbers: Seed, step, rank and the like, at least 0.
    """
    return np.random.default_rng([zlib.crc32(purpose.encode()), *numbers])
