"""The cache of converted volumes: parallel, resumable, idempotent."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from rich.progress import track

from mmdet3d_medical.parallel import NoResult, Workers, do_each
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.files import as_json, staged

from ..scan_ids import check_scan_id, refusal
from ..storage import STORAGES, Storage
from ..transforms.loading import open_volume
from .formats import data_files, file_notes
from .image_io import AIR, MAX_HU, NO_AIR_HU, crop, read_axes, read_hu, resample
from .lung_mask import fill_outside_lungs
from .lungs import lung_box
from .masks import MODES, MaskLesions, lesions_of_mask

NO_AIR = 'scans have no air (about -1000 HU), as a CT has: are they masks, or in another unit?'
CACHE_VERSION = 3  # to be raised when a conversion gives other voxels, or refuses what it took


@dataclasses.dataclass(frozen=True)
class ConvertSettings:
    """How scans are converted.

    Args:
        spacing: Voxel size (z, y, x) in mm; ``None`` keeps each scan's own.
        crop: 'lungs' cuts to the bounding box of the lungs, 'none' keeps the whole scan.
        margin: Around the lungs, in mm. Defaults to 10.
        instances: What is one lesion in a mask, see :func:`.masks.lesions_of_mask`.
        classes: Value and name of each class in masks, where values are classes; in the order of
            the values.
        outside: HU that replace what lies outside the lungs of a lung mask, see
            :func:`.lung_mask.fill_outside_lungs`; ``None`` keeps it.
        dilation: Rim around the lungs that is not replaced, in the scan's own voxels. Defaults to
            10.
        storage: How voxels lie on the disk, a name in :data:`..storage.STORAGES`. Defaults to
            'npy'.
    """

    spacing: tuple[float, float, float] | None = None
    crop: str = 'none'
    margin: float = 10.0
    instances: str = 'auto'
    classes: tuple[tuple[int, str], ...] = ()
    outside: int | None = None
    dilation: int = 10
    storage: str = 'npy'

    @property
    def class_names(self) -> list[str]:
        """Of the classes in masks; empty where values are none."""
        return [name for _, name in self.classes]

    def __post_init__(self) -> None:
        if self.spacing is not None and not (len(self.spacing) == 3 and min(self.spacing) > 0):
            raise ValueError(f'spacing must be three positive mm (z, y, x), found {self.spacing}')
        if self.crop not in ('lungs', 'none'):
            raise ValueError(f"crop must be 'lungs' or 'none', found {self.crop!r}")
        if self.instances not in MODES:
            raise ValueError(f'instances must be one of {MODES}, found {self.instances!r}')
        _check_classes(self.classes)
        if self.margin < 0:
            raise ValueError(f'margin must not be negative, found {self.margin} mm')
        if self.outside is not None and not AIR <= self.outside <= MAX_HU:
            raise ValueError(f'outside must be {AIR} to {MAX_HU} HU, found {self.outside}')
        if self.dilation < 0:
            raise ValueError(f'dilation must not be negative, found {self.dilation} voxels')
        if self.storage not in STORAGES:
            raise ValueError(f'storage must be one of {[*STORAGES]}, found {self.storage!r}')


@dataclasses.dataclass(frozen=True)
class ScanSource:
    """The files of one scan, and whose it is: ``patient`` is a name that tells nothing."""

    scan_id: str
    image: Path
    lung_mask: Path | None = None
    lesion_mask: Path | None = None
    subset: int | None = None
    patient: str | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.image)

    def read(self) -> sitk.Image:
        """The volume, as :func:`.image_io.read_hu`."""
        return read_hu(self.image)

    def axes(self) -> np.ndarray:
        """(3, 3): columns are the axes x, y, z of the volume that :meth:`read` gives."""
        return read_axes(self.image)

    def notes(self) -> dict[str, str]:
        """What the user should know of the files, by title."""
        return file_notes(path for path in (self.image, self.lesion_mask) if path)

    def stamps(self) -> dict[str, dict]:
        """Size and time of change of the files of image and masks, data files included."""
        return {part: file_stamps(path) for part, path in self._files().items()}

    def _files(self) -> dict[str, Path]:
        paths = dict(image=self.image, lung_mask=self.lung_mask, lesion_mask=self.lesion_mask)
        return {part: path for part, path in paths.items() if path}


def file_stamps(header: Path) -> dict[str, list[int]]:
    """Size and time of change of each file that a volume is read from, if it is there."""
    return {
        f'{path.parent.name}/{path.name}': [path.stat().st_size, path.stat().st_mtime_ns]
        for path in sorted(data_files(header))
        if path.exists()
    }


def _check_classes(classes: Sequence[tuple[int, str]]) -> None:
    values, names = [value for value, _ in classes], [name for _, name in classes]
    if values != sorted({*values}) or min(values, default=1) < 1:
        raise ValueError(
            f'classes need different values of at least 1 in their order, found {list(classes)}'
        )
    if len({*names} - {''}) < len(names):
        raise ValueError(f'classes need different names, found {names}')


def _notes_of_voxels(image: sitk.Image) -> dict[str, str]:
    """What the user should know of a scan's voxels, by title.

    Crops, and images other than CT, may lack air and are converted: `predict` alone refuses them.
    """
    lowest = int(sitk.GetArrayViewFromImage(image).min())
    return {NO_AIR: f'its lowest value is {lowest}'} if lowest > NO_AIR_HU else {}


_DEFAULTS = json.loads(json.dumps(dataclasses.asdict(ConvertSettings())))


class VolumeCache:
    """Converted volumes in ``<root>/volumes``, each with a record of what it was made from.

    A volume and its record are written under other names, then put in place together. A scan is
    either finished or not there, wherever a run is interrupted, and a scan whose files or
    settings changed is noticed.

    Args:
        root: Folder of the cache; made if missing.
        settings: How to convert.

    Raises:
        UsageError: If the package for the storage is missing.
    """

    def __init__(self, root: str | Path, settings: ConvertSettings) -> None:
        self.root = Path(root)
        self.settings = settings
        self._storage.check()
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def _storage(self) -> Storage:
        return STORAGES[self.settings.storage]

    @property
    def folder(self) -> Path:
        return self.root / 'volumes'

    def volume_path(self, scan_id: str) -> Path:
        return self.folder / f'{scan_id}{self._storage.suffix}'

    def find(self, source: ScanSource) -> dict | None:
        """The record of a finished scan, ``None`` if it has to be converted."""
        if refusal(source.scan_id):
            return None
        path = self.folder / f'{source.scan_id}.json'
        try:
            record = json.loads(path.read_text())
            made_from = record['made_from']
            # A setting that the record does not know is younger, and had its default.
            made_from['settings'] = _DEFAULTS | made_from['settings']
            if made_from != self._made_from(source):
                return None
            open_volume(
                self.volume_path(source.scan_id),
                VolumeGeometry.from_dict(record['geometry']),
                source.scan_id,
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record

    def convert(self, source: ScanSource) -> dict:
        """Convert a scan and record it.

        Returns:
            dict: 'scan_id', 'geometry', 'instances' (of the lesion mask), 'notes', 'cropped',
            'filled', 'made_from'.

        Raises:
            ValueError: If a file of the scan cannot be used, or its name is none for a scan; the
                message names it.
        """
        check_scan_id(source.scan_id)
        made_from = self._made_from(source)
        image = source.read()
        scan = VolumeGeometry.from_sitk(image)
        notes = _notes_of_voxels(image)
        found = MaskLesions([], {})
        if source.lesion_mask:
            found = lesions_of_mask(
                source.lesion_mask, scan, self.settings.instances, self.settings.classes
            )
        box = None
        if self.settings.crop == 'lungs':
            box = lung_box(image, source.lung_mask, self.settings.margin)
        if box is not None:
            image = crop(image, box[:3], box[3:])
        filled = None
        if self.settings.outside is not None and source.lung_mask is not None:
            filled = fill_outside_lungs(
                image, source.lung_mask, self.settings.outside, self.settings.dilation, scan
            )
            image = image if filled is None else filled
        if self.settings.spacing is not None:
            image = resample(image, self.settings.spacing)
        record = dict(
            scan_id=source.scan_id,
            made_from=made_from,
            instances=found.instances,
            notes=source.notes() | notes | found.notes,
            geometry=VolumeGeometry.from_sitk(image).to_dict(),
            cropped=box is not None,
            filled=filled is not None,
        )
        self._save(sitk.GetArrayViewFromImage(image), record)
        return record

    def _made_from(self, source: ScanSource) -> dict:
        content = dict(
            version=CACHE_VERSION, settings=dataclasses.asdict(self.settings), files=source.stamps()
        )
        return json.loads(json.dumps(content))  # tuples become lists, as when read back

    def _save(self, volume: np.ndarray, record: dict) -> None:
        with staged(self.folder) as folder:
            self._storage.write(folder / self.volume_path(record['scan_id']).name, volume)
            (folder / f'{record["scan_id"]}.json').write_text(as_json(record), encoding='utf-8')

    def remove_replaced(self, scan_ids: Iterable[str]) -> None:
        """Remove what an earlier conversion of these scans wrote by another storage.

        Until the index is written, an older one may name these files.
        """
        others = [s.suffix for s in STORAGES.values() if s is not self._storage]
        for path in (self.folder / f'{scan_id}{end}' for scan_id in scan_ids for end in others):
            path.unlink(missing_ok=True)


def convert_scans(
    sources: Sequence[ScanSource], cache: VolumeCache, workers: Workers = 1
) -> tuple[dict[str, dict], dict[str, str]]:
    """Convert what is not in the cache yet; a scan that fails does not stop the others.

    Args:
        sources: Scans to convert.
        cache: Where to.
        workers: Processes, at least 1, or what :func:`mmdet3d_medical.parallel.make_workers` gives.
            Defaults to 1.

    Returns:
        Records by scan id, and messages by the ids of the scans that failed.
    """
    if isinstance(workers, int) and workers < 1:
        raise ValueError(f'workers must be at least 1, found {workers}')
    records = {source.scan_id: cache.find(source) for source in sources}
    pending = [source for source in sources if records[source.scan_id] is None]
    failures: dict[str, str] = {}
    results = do_each(partial(_try_convert, cache), pending, workers)
    for source, result in track(results, 'Converting', total=len(pending), disable=not pending):
        if isinstance(result, NoResult):
            failures[source.scan_id] = f'{source.name}: {result.reason}'
        elif isinstance(result, str):
            failures[source.scan_id] = result
        else:
            records[source.scan_id] = result
    return {key: record for key, record in records.items() if record is not None}, failures


def _try_convert(cache: VolumeCache, source: ScanSource) -> dict | str:
    """Its record, or why there is none; it may be there from a worker that was lost."""
    try:
        return cache.find(source) or cache.convert(source)
    except ValueError as error:  # names the file
        return str(error)
    except (RuntimeError, OSError, MemoryError) as error:
        return f'{source.name}: {error!r}'
