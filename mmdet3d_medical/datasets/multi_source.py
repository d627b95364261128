"""Several data sets as one, from which a sampler draws at a set ratio."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

from torch.utils.data import Dataset

from mmdet3d_medical.registry import DATASETS

from .samplers import Draw


@DATASETS.register_module()
class MultiSourceDataset(Dataset):
    """Data sets one after another, say labeled and unlabeled scans.

    The samples of source k follow those of the sources before it. Each source keeps its own index,
    split and pipeline, so they may be lists of one index or come from different ones. With
    :class:`MultiSourceDrawSampler` every batch has a set number of samples from each source.

    Args:
        datasets: Data sets or their configs, in a list, or in a dict under names of your choice,
            which inheriting configs can change one by one. Each takes a :class:`Draw`, as
            ``VolumeDetDataset`` does.

    Raises:
        ValueError: If there are no data sets, or they differ in their classes.
    """

    def __init__(self, datasets: Sequence[Dataset | dict] | Mapping[str, Dataset | dict]) -> None:
        parts = datasets.values() if isinstance(datasets, Mapping) else datasets
        self.datasets = [DATASETS.build(part) if isinstance(part, dict) else part for part in parts]
        if not self.datasets:
            raise ValueError('MultiSourceDataset needs at least one data set')
        self._check_classes()
        self.stops = list(accumulate(len(part) for part in self.datasets))

    @property
    def metainfo(self) -> dict:
        """Meta information of the first source."""
        return self.datasets[0].metainfo

    def __len__(self) -> int:
        """Number of samples of all sources together."""
        return self.stops[-1]

    def __getitem__(self, idx: int | Draw) -> dict:
        """The sample at a position in all sources, augmented as the number of the draw says."""
        draw = idx if isinstance(idx, Draw) else Draw(idx % len(self), idx % len(self))
        source = bisect_right(self.stops, draw.index)
        start = self.stops[source] - len(self.datasets[source])
        return self.datasets[source][Draw(draw.index - start, draw.number)]

    def _check_classes(self) -> None:
        first = self.datasets[0].metainfo.get('classes')
        for number, part in enumerate(self.datasets):
            classes = part.metainfo.get('classes')
            if classes != first:
                raise ValueError(
                    f'source {number} has the classes {classes}, source 0 has '
                    f'{first}: one detector cannot learn both'
                )


def branch_in_use(item: dict) -> dict:
    """The branch of a packed sample that mmdet's ``MultiBranch`` has filled.

    Args:
        item: With a dict from branches to values, or None, under each key; or an ordinary sample,
            which is returned as it is.
    """
    if not isinstance(item['inputs'], Mapping):
        return item
    branch = next(name for name, value in item['inputs'].items() if value is not None)
    return {key: branches[branch] for key, branches in item.items()}
