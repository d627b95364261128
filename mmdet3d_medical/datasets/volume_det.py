"""Lesion detection data set: scans listed in a JSON index."""

import warnings
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset

from mmdet3d_medical.evaluation.marks import check_spelling, read_scan_ids
from mmdet3d_medical.registry import DATASETS, TRANSFORMS
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.random import generator

from .index import check_inside, open_index, volume_path
from .packed import PackedScans
from .samplers import Draw


@DATASETS.register_module()
class VolumeDetDataset(BaseDataset):
    """Scans of a converted data set, each with its lesions in world millimeters.

    An item is asked for by position or by a :class:`Draw`. At one position an item is augmented in
    the same way each time, so outside ``test_mode`` the first such request warns. The pipeline
    receives a dict with ``scan_id``, ``subset``, ``volume_path``, ``geometry``
    (:class:`VolumeGeometry`), ``annotated``, ``instances`` (see ``docs/data.md``), ``draw`` and
    ``rng``, a numpy generator seeded by (``seed``, draw number): the only source of randomness a
    transform may use.

    Args:
        data_root: Folder the other paths are relative to. Defaults to ''.
        ann_file: The index. Defaults to 'index.json'.
        split: Scans to take: a text file with one scan id a line, or a list of ids, which are
            text. Their order is kept. ``None`` takes all.
        subsets: Subset numbers to take. ``None`` takes all.
        pipeline: Transforms, as configs or callables.
        test_mode: Whether the data set is for testing. Defaults to False.
        seed: Seed of the augmentations. Defaults to 0.
        indices: Of the scans selected, how many to take from the first on, or their positions.
            ``None`` takes all.
        metainfo: Overrides meta information; ``classes`` must agree with the index, unless none of
            its scans is annotated.
        lazy_init: Whether to put off reading the index. Defaults to False.
        allow_outside: Whether volumes may lie outside the folder of the index. An index of
            unknown origin could then have any file read. Defaults to False.

    Raises:
        FileNotFoundError: If the index or the split file is missing.
        ValueError: If the index is invalid or names volumes outside its folder, or the selection
            is empty, or names unknown scans or one scan twice.
    """

    def __init__(
        self,
        data_root: str = '',
        ann_file: str = 'index.json',
        split: str | Sequence[str] | None = None,
        subsets: Sequence[int] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        test_mode: bool = False,
        seed: int = 0,
        indices: int | Sequence[int] | None = None,
        metainfo: dict | None = None,
        lazy_init: bool = False,
        allow_outside: bool = False,
    ) -> None:
        self.split = split
        self.subsets = subsets
        self.seed = seed
        self.allow_outside = allow_outside
        self._warned = False
        # Built here, so that names are found without a default scope too.
        transforms = [
            TRANSFORMS.build(part) if isinstance(part, dict) else part for part in pipeline
        ]
        super().__init__(
            ann_file=ann_file,
            metainfo=metainfo,
            data_root=data_root,
            data_prefix={},
            indices=indices,
            pipeline=transforms,
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    def load_data_list(self) -> PackedScans:
        """Read the index and keep the scans that ``split`` and ``subsets`` select, as they are.

        :meth:`parse_data_info` makes an item of one when that is asked for.
        """
        index = open_index(self.ann_file)
        classes = tuple(index['classes'])
        wanted = tuple(self._metainfo.setdefault('classes', classes))
        if wanted != classes and any(scan['annotated'] for scan in index['scans']):
            raise ValueError(
                f'{self.ann_file} has the classes {classes}, but the metainfo of '
                f'the data set says {wanted}: change one of the two'
            )
        scans = self._select(index['scans'])
        if not scans:
            raise ValueError(
                f'{self.ann_file}: no scan is selected by subsets={self.subsets}, '
                f'split={self.split}{self._subsets_hint(index["scans"])}'
            )
        if not self.allow_outside:
            for scan in scans:
                check_inside(scan)
        return scans

    def _select(self, scans: PackedScans) -> PackedScans:
        if self.split is None and self.subsets is None:
            return scans
        subsets = {scan['scan_id']: scan.get('subset') for scan in scans}
        positions = {scan_id: position for position, scan_id in enumerate(subsets)}
        ids = [*subsets] if self.split is None else self._known_ids(subsets)
        if self.subsets is not None:
            ids = [scan_id for scan_id in ids if subsets[scan_id] in self.subsets]
        return scans.take([positions[scan_id] for scan_id in ids])

    def _known_ids(self, known: Collection[str]) -> list[str]:
        """The ids of the split, each of which is known and there once."""
        ids = self._split_ids()
        repeated = [scan_id for scan_id, count in Counter(ids).items() if count > 1]
        if repeated:
            raise ValueError(
                f'{len(repeated)} scans are repeated in the split {self.split}, '
                f'the first is {repeated[0]!r}: list every scan once'
            )
        check_spelling(ids, known, f'the split {self.split}', self.ann_file)
        unknown = [scan_id for scan_id in ids if scan_id not in known]
        if unknown:
            raise ValueError(
                f'{len(unknown)} scans of the split {self.split} are not in '
                f'{self.ann_file}, the first is {unknown[0]!r}'
            )
        return ids

    def _subsets_hint(self, scans: Sequence[dict]) -> str:
        """What to do where ``subsets``, inherited from a base say, fit no scan of the index."""
        if self.subsets is None or not scans:
            return ''
        found = sorted({scan.get('subset') for scan in scans} - {None})
        have = f'subsets {found}' if found else 'no subsets'
        return (
            f'. The scans of this index have {have}: set subsets=None in this data set of the '
            'config, and split to a list such as splits/train.txt or splits/test.txt; or write '
            'subsets into the index with make-splits INDEX --folds K'
        )

    def _split_ids(self) -> list[str]:
        if not isinstance(self.split, (str, Path)):
            wrong = next((item for item in self.split if not isinstance(item, str)), None)
            if wrong is not None:
                raise ValueError(
                    f'the split {self.split} must hold scan ids as text, found '
                    f'{wrong!r}: quote it, or write the ids to a file'
                )
            return list(self.split)
        path = Path(self.data_root) / self.split
        if not path.is_file():
            raise FileNotFoundError(
                f'no split file at {path}: to train and test on parts of these scans, make the '
                f'lists with mmdet3d-medical make-splits {self.ann_file}{_asked(path.stem)}; to '
                'test on all of them, as scans to predict on, give mmdet3d-medical test --data '
                f'{self.data_root or "."} (or set split=None in this data set of the config)'
            )
        return read_scan_ids(path)

    @property
    def scans(self) -> PackedScans:
        """The scans that were selected, as the index has them."""
        self.full_init()
        return PackedScans(self.data_bytes, self.data_address)

    def _serialize_data(self) -> tuple[np.ndarray, np.ndarray]:
        """Bytes of the scans and where each ends, which are there already."""
        scans, self.data_list = PackedScans.of(self.data_list), []
        return scans.data, scans.stops

    def get_data_info(self, idx: int) -> dict:
        """The item at a position, before the pipeline."""
        scan = super().get_data_info(idx)
        return {**self.parse_data_info(scan), 'sample_idx': scan['sample_idx']}

    def parse_data_info(self, scan: dict) -> dict:
        """Turn a scan of the index into an item: absolute path, geometry as an object."""
        return dict(
            scan_id=scan['scan_id'],
            subset=scan.get('subset'),
            volume_path=str(volume_path(Path(self.ann_file).parent, scan, self.allow_outside)),
            geometry=VolumeGeometry.from_dict(scan['geometry']),
            annotated=scan['annotated'],
            instances=scan['instances'],
        )

    def prepare_data(self, idx: int | Draw) -> dict:
        """Run the pipeline on one scan, its generator seeded by the number of the draw."""
        draw = idx if isinstance(idx, Draw) else self._repeated_draw(idx)
        info = self.get_data_info(draw.index)
        info['draw'] = draw
        info['rng'] = generator('augmentation', self.seed, draw.number)
        return self.pipeline(info)

    def _repeated_draw(self, position: int) -> Draw:
        """The draw of a plain position: the same one whenever it is asked for."""
        if not (self.test_mode or self._warned):
            self._warned = True
            warnings.warn(
                'a scan asked for by its position alone is augmented the same each time; '
                "train with sampler=dict(type='InfiniteDrawSampler')",
                stacklevel=3,
            )
        return Draw(position % len(self), position % len(self))


def _asked(name: str) -> str:
    """Options of ``make-splits`` for a list of labeled or unlabeled scans."""
    kind, _, number = name.partition('_')
    return f' --{kind} {number}' if kind in ('labeled', 'unlabeled') and number.isdigit() else ''
