"""Samplers whose every draw is a function of (seed, position), so that resuming is exact."""
from collections.abc import Iterator, Sized
from typing import NamedTuple

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmdet3d_medical.registry import DATA_SAMPLERS


class Draw(NamedTuple):
    """One sample to load: which scan, and which draw of the whole run it is.

    The number counts the samples of all ranks together. It seeds the augmentation of the
    sample, so the same scan drawn twice is augmented differently.
    """

    index: int
    number: int


@DATA_SAMPLERS.register_module()
class InfiniteDrawSampler(Sampler):
    """Passes over a data set forever, each pass shuffled anew.

    Rank r of W takes the draws r, r + W, r + 2W, ... of one common sequence, so W processes
    with batches of B see what one process with batches of W * B sees.

    Args:
        dataset: Anything with a length of at least 1.
        shuffle: Whether to permute each pass. Defaults to True.
        seed: Seed of the permutations, the same on every rank. ``None`` draws one and shares it.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None) -> None:
        if len(dataset) == 0:
            raise ValueError('cannot draw from a data set without samples')
        self.rank, self.world_size = get_dist_info()
        self.size = len(dataset)
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self._skipped = 0

    def __iter__(self) -> Iterator[Draw]:
        number = self._skipped * self.world_size + self.rank
        epoch, order = -1, np.arange(self.size)
        while True:
            if self.shuffle and number // self.size != epoch:
                epoch = number // self.size
                order = np.random.default_rng([self.seed, epoch]).permutation(self.size)
            yield Draw(int(order[number % self.size]), number)
            number += self.world_size

    def __len__(self) -> int:
        """Size of one pass over the data set."""
        return self.size

    def skip(self, num_samples: int) -> None:
        """Start the next iteration after the first ``num_samples`` draws of this rank.

        Args:
            num_samples: Draws of this rank to leave out, counted from the start of the run.
        """
        if num_samples < 0:
            raise ValueError(f'num_samples must not be negative, found {num_samples}')
        self._skipped = num_samples

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: an endless sequence has no epochs, its passes are counted here."""
