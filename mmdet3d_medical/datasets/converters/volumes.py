"""Any CT volumes that SimpleITK reads, annotated by tables, masks, Slicer's boxes or nothing."""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from mmdet3d_medical.evaluation.marks import check_spelling
from mmdet3d_medical.parallel import Workers

from .annotations import are_reviews, csv_classes, csv_patients, read_several
from .cache import ConvertSettings, ScanSource, VolumeCache, convert_scans
from .lidc import CLASS as LIDC_CLASS
from .lidc import READERS, annotate_lidc
from .lidc import SUFFIX as XML
from .links import LINKED, linked_folders, note_of_links, with_parents
from .report import ConversionReport, finish
from .slicer import DEFAULT_CLASS, annotate_slicer, has_markups

SUFFIXES = ('.nii.gz', '.nii', '.nrrd', '.nhdr', '.mhd', '.mha')
IMAGE_ENDINGS = ('_image', '_img', '_ct', '_0000')
MASK_WORDS = 'label', 'labels', 'mask', 'masks', 'seg', 'segmentation', 'segmentations'
MASK_ENDINGS = tuple(f'{before}{word}' for word in MASK_WORDS for before in '_-.')
FINDINGS = 'findings.nii.gz'  # a label map that `predict` writes, with at least one of these beside
BESIDE_FINDINGS = 'run.json', 'findings.json'
TABLE_SUFFIXES = ('.csv', '.csv.gz', '.tsv')


def stem(path: Path) -> str:
    """File name without the suffix, '.nii.gz' being one suffix. This is the scan id."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """Files given by name, and all images below the folders given, sorted.

    Findings that `predict` wrote into a folder are left out: their name is that of no scan.

    Raises:
        ValueError: If a path does not exist.
    """
    found: set[Path] = set()
    for path in map(Path, paths):
        if not path.exists():
            raise ValueError(f'{path}: no such file or folder')
        inner = [p for p in path.rglob('*') if p.name.lower().endswith(SUFFIXES)]
        found.update([p for p in inner if not _is_findings(p)] if path.is_dir() else [path])
    return sorted(found)


def is_mask(path: Path) -> bool:
    """Whether a file is called like a mask."""
    return stem(path).lower().endswith(MASK_ENDINGS)


def _is_findings(path: Path) -> bool:
    return path.name == FINDINGS and any(path.with_name(name).exists() for name in BESIDE_FINDINGS)


def find_scans(
    paths: Iterable[str | Path], annotations: Iterable[str | Path] = ()
) -> list[ScanSource]:
    """One scan for each image that does not end like a mask, sorted by scan id.

    Args:
        paths: Image files and folders.
        annotations: Files and folders of annotations. Where they lie inside one of the folders,
            they are left out; the same folder may hold both images and masks.

    Raises:
        ValueError: If there is none, or two files would get the same scan id.
    """
    paths = list(paths)
    sources: dict[str, ScanSource] = {}
    inner = _inside(annotations, paths)
    for image in find_images(paths):
        scan_id = stem(image)
        if is_mask(image) or not inner.isdisjoint(with_parents(image)):
            continue
        if scan_id in sources:
            raise ValueError(
                f'{image} and {sources[scan_id].image} would both be the scan '
                f'{scan_id!r}: file names must be unique, rename one'
            )
        sources[scan_id] = ScanSource(scan_id, image)
    if not sources:
        links = note_of_links(paths)
        raise ValueError(
            f'no volumes in {", ".join(map(str, paths))}: looked for '
            f'{", ".join(SUFFIXES)}, names ending in {", ".join(MASK_WORDS)} after "_", "-" or '
            f'"." are taken for masks{"; " * bool(links)}{links}'
        )
    return [sources[scan_id] for scan_id in sorted(sources)]


def _inside(annotations: Iterable[str | Path], paths: Iterable[str | Path]) -> set[Path]:
    """Annotation paths, resolved, that are neither one of the paths nor a folder around one."""
    around = {outer for path in paths for outer in with_parents(path)}
    return {Path(os.path.realpath(path)) for path in annotations} - around


def pair_masks(
    sources: Sequence[ScanSource], masks: Iterable[str | Path]
) -> tuple[list[ScanSource], list[str]]:
    """Give each scan its mask: the file of the same stem, endings as '_image', '_label' apart.

    A mask belongs to the scan of the same whole stem rather than to one with an ending.

    Args:
        sources: Scans.
        masks: Mask files or folders of them.

    Returns:
        The scans, with ``lesion_mask`` where there is one, and the stems of masks left over.

    Raises:
        ValueError: If no mask belongs to a scan, two to the same, or one to two scans.
    """
    images = {source.image.resolve() for source in sources}
    by_key: dict[str, Path] = {}
    for mask in find_images(masks):
        if mask.resolve() in images:
            continue
        key = _strip(stem(mask), MASK_ENDINGS)
        if key in by_key:
            raise ValueError(f'{mask} and {by_key[key]} are both masks of {key!r}: keep one')
        by_key[key] = mask
    masks_of = _share_out(by_key, sources)
    paired = [
        dataclasses.replace(source, lesion_mask=masks_of.get(source.scan_id)) for source in sources
    ]
    used = {source.lesion_mask for source in paired}
    if not any(used):
        raise ValueError(
            f'none of {len(by_key)} masks belongs to a volume: the mask of scan '
            f'{sources[0].scan_id} should be called like it, or '
            f'{_strip(sources[0].scan_id, IMAGE_ENDINGS)}_label, _mask or _seg'
        )
    return paired, sorted(stem(mask) for mask in by_key.values() if mask not in used)


def named_scan(name: str) -> str:
    """The scan that a mask, or an id in a table, would belong to."""
    return _strip(name, MASK_ENDINGS)


def pair_rows(
    sources: Sequence[ScanSource],
    lesions: Mapping[str, list[dict]],
    path: str | Path,
    left_out: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Check that the rows of a CSV file are about the scans.

    Args:
        sources: Scans.
        lesions: Instances by scan id.
        path: The CSV file, for the message.
        left_out: Why scans that are there cannot be used, by id, for the message.

    Returns:
        Ids in the file that are no scan's, sorted.

    Raises:
        ValueError: If there are rows, but none belongs to a scan, or a spreadsheet changed an id.
    """
    check_spelling(lesions, [source.scan_id for source in sources], path)
    missing = sorted(set(lesions) - {source.scan_id for source in sources})
    if lesions and len(missing) == len(lesions):
        there = [key for key in missing if key in left_out]
        if there:
            raise ValueError(
                f'{path}: none of its {len(lesions)} scan ids belongs to a series that can be '
                f'used: {there[0]} is there, but was left out: {left_out[there[0]]}'
            )
        raise ValueError(
            f'{path}: none of its {len(lesions)} scan ids belongs to a volume: the '
            f'first is {missing[0]!r}, but volumes have ids like '
            f'{sources[0].scan_id!r}; seriesuid must be the scan id: of a volume its '
            'file name without suffix, of a DICOM series its id'
        )
    return missing


def _share_out(by_key: Mapping[str, Path], sources: Sequence[ScanSource]) -> dict[str, Path]:
    """Masks by scan id.

    Raises:
        ValueError: If one would be that of two scans.
    """
    found = {s.scan_id: by_key[s.scan_id] for s in sources if s.scan_id in by_key}
    left = {key: mask for key, mask in by_key.items() if key not in found}
    takers: dict[str, ScanSource] = {}
    for source in sources:
        key = _strip(source.scan_id, IMAGE_ENDINGS)
        if source.scan_id in found or key not in left:
            continue
        if key in takers:
            raise ValueError(
                f'{left[key]} would be the mask of both {takers[key].name} and {source.name}: '
                f'call it {source.scan_id} or {takers[key].scan_id}, as the scan that it is of'
            )
        takers[key] = source
        found[source.scan_id] = left[key]
    return found


def _strip(name: str, endings: Sequence[str]) -> str:
    for ending in endings:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


class Annotated(NamedTuple):
    """Scans and their lesions.

    Attributes:
        sources: The scans, with masks if these are the annotations, or with the patients that a
            CSV file names.
        lesions: Instances by scan id, ``None`` without any CSV file; that of a scan is ``None`` if
            it is not annotated.
        classes: Class names.
        missing: Ids in the annotations that are no scan's.
        notes: What the user should know, by title, then scan id.
    """

    sources: list[ScanSource]
    lesions: dict[str, list[dict] | None] | None
    classes: list[str]
    missing: list[str]
    notes: dict[str, dict[str, str]] = {}


def annotate(
    sources: Sequence[ScanSource],
    annotations: Sequence[str | Path],
    mask_classes: Sequence[str] = (),
    readers: int = READERS,
    left_out: Mapping[str, str] = MappingProxyType({}),
) -> Annotated:
    """Find the lesions of scans.

    Args:
        sources: Scans.
        annotations: As in :func:`convert_volumes`.
        mask_classes: Names of the classes in masks, if there are any.
        readers: As in :func:`.lidc.lesions_of`.
        left_out: As in :func:`pair_rows`.

    Raises:
        ValueError: If a file cannot be used, none of it belongs to a scan, or classes of masks are
            named where the annotations are no masks.
    """
    sources = list(sources)
    if not annotations:
        return Annotated(sources, None, [DEFAULT_CLASS], [])
    if all(map(has_markups, annotations)):
        _refuse_names(annotations, mask_classes, 'these are boxes of 3D Slicer, whose names name')
        _refuse_masks(annotations, sources)
        return Annotated(sources, *annotate_slicer(sources, annotations))
    if all(map(_has_xml, annotations)):
        lesions, missing = annotate_lidc(sources, annotations, readers)
        return Annotated(sources, lesions, [LIDC_CLASS], missing)
    tables = [_tables(path) for path in annotations]
    if all(tables):
        _refuse_names(annotations, mask_classes, 'this is a table, whose column class names')
        files = sorted({path for some in tables for path in some})
        return _annotate_by_tables(sources, files, left_out)
    sources, missing = pair_masks(sources, annotations)
    return Annotated(sources, None, list(mask_classes) or [DEFAULT_CLASS], missing)


def _annotate_by_tables(
    sources: list[ScanSource], tables: Sequence[Path], left_out: Mapping[str, str]
) -> Annotated:
    classes = csv_classes(*tables) or [DEFAULT_CLASS]
    lesions = read_several(tables, classes)
    more = f' and {len(tables) - 1} more tables' * (len(tables) > 1)
    missing = pair_rows(sources, lesions, f'{tables[0]}{more}', left_out)
    if are_reviews(tables):
        lesions = {source.scan_id: lesions.get(source.scan_id) for source in sources}
    return Annotated(_with_patients(sources, csv_patients(*tables)), lesions, classes, missing)


def _refuse_names(
    annotations: Sequence[str | Path], mask_classes: Sequence[str], what: str
) -> None:
    if mask_classes:
        raise ValueError(f'{annotations[0]}: --classes names values of masks, but {what} them')


def _refuse_masks(annotations: Iterable[str | Path], sources: Sequence[ScanSource]) -> None:
    """Refuse folders with masks beside boxes: which of them count, nobody says."""
    scan_ids = {source.scan_id for source in sources}
    images = {source.image.resolve() for source in sources}
    for image in find_images(path for path in annotations if Path(path).is_dir()):
        called_so = stem(image) in scan_ids or is_mask(image)
        if called_so and image.resolve() not in images:
            raise ValueError(
                f'{image} is a mask, but there are boxes of 3D Slicer (.mrk.json) beside it: give '
                'the files that count by name'
            )


def _tables(path: str | Path) -> list[Path]:
    """The table itself, or those in a folder of nothing else; nothing if it is something else."""
    path = Path(path)
    files = [p for p in path.rglob('*') if p.is_file()] if path.is_dir() else [path]
    files = [file for file in files if not file.name.startswith('.')]
    only = all(file.name.lower().endswith(TABLE_SUFFIXES) for file in files)
    return files if only else []


def _has_xml(path: str | Path) -> bool:
    """Whether it is an XML file, or a folder with one and with no image."""
    path = Path(path)
    if not path.is_dir():
        return path.suffix.lower() == XML
    names = [inner.name.lower() for inner in path.rglob('*')]
    return any(name.endswith(XML) for name in names) and not any(
        name.endswith(SUFFIXES) for name in names
    )


def _with_patients(sources: Iterable[ScanSource], patients: Mapping[str, str]) -> list[ScanSource]:
    return [
        dataclasses.replace(source, patient=patients.get(source.scan_id, source.patient))
        for source in sources
    ]


def convert_volumes(
    paths: Iterable[str | Path],
    annotations: Sequence[str | Path],
    out: str | Path,
    settings: ConvertSettings,
    workers: Workers = 1,
) -> ConversionReport:
    """Convert volumes to a cache with an index.

    Args:
        paths: Image files, or folders that are searched with all below them.
        annotations: CSV files (see :func:`.annotations.read_annotations`) or folders of nothing
            else, whose rows are joined; or boxes of 3D Slicer (see
            :func:`.slicer.annotate_slicer`); or masks or folders of masks; or nothing: then the
            scans are not annotated. With CSV files, a scan without a row is a scan without
            lesions, also if a table without rows is all there is of it; with others, and with
            reviews saved from reports, a scan without a file or row is not annotated.
        out: Folder of the cache.
        settings: How to convert.
        workers: As in :func:`.cache.convert_scans`. Defaults to 1.

    Raises:
        ValueError: If no scan is found, or annotations are given and none belongs to a scan.
    """
    paths = list(paths)
    found = annotate(find_scans(paths, annotations), annotations, settings.class_names)
    records, failures = convert_scans(found.sources, cache := VolumeCache(out, settings), workers)
    links = linked_folders([*paths, *annotations])
    return finish(
        cache,
        found.sources,
        records,
        failures,
        found.lesions,
        found.classes,
        found.missing,
        notes_of_lesions=found.notes | ({LINKED: links} if links else {}),
    )
