"""Samplers whose every draw is a function of (seed, position), so that resuming is exact."""

import itertools
from collections.abc import Iterator, Sequence, Sized
from typing import NamedTuple

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmdet3d_medical.registry import DATA_SAMPLERS
from mmdet3d_medical.utils.random import generator


class Draw(NamedTuple):
    """One sample to load: which scan, and which draw of the whole run it is.

    The number counts the samples of all ranks together. It seeds the augmentation of the
    sample, so the same scan drawn twice is augmented differently.
    """

    index: int
    number: int


class _Passes:
    """An endless sequence of passes over ``size`` samples, any position at once.

    Args:
        size: Samples in a pass.
        seed: Seed of the permutations, to which the number of the pass is added.
        shuffle: Whether to permute each pass.
    """

    def __init__(self, size: int, seed: Sequence[int], shuffle: bool) -> None:
        self.size = size
        self.seed = list(seed)
        self.shuffle = shuffle
        self._number, self._order = -1, np.arange(size)

    def __getitem__(self, position: int) -> int:
        number, place = divmod(position, self.size)
        if self.shuffle and number != self._number:
            self._number = number
            self._order = generator('order of scans', *self.seed, number).permutation(self.size)
        return int(self._order[place])


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
        passes = _Passes(self.size, [self.seed], self.shuffle)
        for number in self._numbers():
            yield Draw(passes[number], number)

    def _numbers(self) -> Iterator[int]:
        """Numbers of this rank's draws."""
        return itertools.count(self._skipped * self.world_size + self.rank, self.world_size)

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


@DATA_SAMPLERS.register_module()
class MultiSourceDrawSampler(InfiniteDrawSampler):
    """Passes over several sources forever, every batch with the same number from each.

    A batch holds first the samples of the first source, then those of the second, and so on. Each
    source is shuffled in passes of its own. W processes with batches of B together see what one
    process with batches of W * B sees.

    Args:
        dataset: A ``MultiSourceDataset``, or anything with ``datasets``, a list of the sources.
        batch_size: Samples in a batch of one process, as in the data loader.
        source_ratio: Share of each source, in integers: (1, 3) with batches of 8 takes 2 and 6.
            Defaults to (1, 1).
        shuffle: Whether to permute each pass. Defaults to True.
        seed: Seed of the permutations, the same on every rank. ``None`` draws one and shares it.

    Raises:
        ValueError: If a source is empty, there are not as many ratios as sources, or the batch
            cannot be divided at that ratio.
    """

    def __init__(
        self,
        dataset,
        batch_size: int,
        source_ratio: Sequence[int] = (1, 1),
        shuffle: bool = True,
        seed: int | None = None,
    ) -> None:
        super().__init__(dataset, shuffle, seed)
        self.sizes = [len(source) for source in dataset.datasets]
        if min(self.sizes) == 0:
            raise ValueError(f'cannot draw from an empty source, the sizes are {self.sizes}')
        if len(source_ratio) != len(self.sizes) or min(source_ratio) < 1:
            raise ValueError(
                f'source_ratio must be {len(self.sizes)} integers of at least 1, one '
                f'for each source, found {source_ratio}'
            )
        parts, rest = divmod(batch_size, sum(source_ratio))
        if rest or parts < 1:
            raise ValueError(
                f'a batch of {batch_size} cannot be divided as {source_ratio}: make '
                f'batch_size a multiple of {sum(source_ratio)}'
            )
        self.counts = np.array(source_ratio) * parts

    def __iter__(self) -> Iterator[Draw]:
        passes = [
            _Passes(size, [self.seed, source], self.shuffle)
            for source, size in enumerate(self.sizes)
        ]
        starts = _starts(self.sizes)
        # One batch of all processes together: how many of each source, from which place on.
        counts = self.counts * self.world_size
        places = _starts(counts)
        owners = np.repeat(np.arange(len(counts)), counts)
        for number in self._numbers():
            batch, place = divmod(number, len(owners))
            source = owners[place]
            position = int(batch * counts[source] + place - places[source])
            yield Draw(int(starts[source]) + passes[source][position], number)


def _starts(counts: Sequence[int]) -> np.ndarray:
    """Where each of several runs begins, one after another."""
    return np.cumsum(counts) - counts
