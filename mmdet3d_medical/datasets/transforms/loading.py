"""From an item of the data set to a volume with voxel boxes."""

import os
import warnings

import numpy as np
from mmcv.transforms import BaseTransform

from mmdet3d_medical.evaluation.marks import check_spelling, read_marks
from mmdet3d_medical.registry import TRANSFORMS
from mmdet3d_medical.structures import VolumeGeometry

from ..storage import CompressedVolume, storage_of

UNSEEN = 100  # scans without a candidate that make a file of candidates suspicious


@TRANSFORMS.register_module()
class LoadVolume(BaseTransform):
    """Map a converted volume into memory and express its lesions as voxel boxes.

    Nothing is read before a voxel is asked for, so a crop costs milliseconds. Of a compressed
    volume (:mod:`..storage`) a crop is decompressed, by any other use all of it. The map is
    copy-on-write: the file is never altered.

    Required keys: ``scan_id``, ``volume_path``, ``geometry``, ``instances``.
    Added keys: ``volume`` (1, D, H, W) int16 HU; ``gt_bboxes`` (N, 6) float32
    (z1, y1, x1, z2, y2, x2) voxel edges; ``gt_bboxes_labels`` (N,) int64; ``gt_ignore_flags``
    (N,) bool; ``scan_geometry``, the geometry of the whole scan.

    Args:
        with_ignored: Whether to load instances marked "ignore". Without them their place counts
            as background. Those that hold a lesion's center are never loaded: in LUNA16 every
            nodule has such a twin among the excluded findings, and what surrounds a lesion must
            count as background for boxes to become tight. Defaults to True.
    """

    def __init__(self, with_ignored: bool = True) -> None:
        self.with_ignored = with_ignored

    def transform(self, results: dict) -> dict:
        results['volume'] = open_volume(
            results['volume_path'], results['geometry'], results['scan_id']
        )[None]
        results['scan_geometry'] = results['geometry']
        instances = without_twins(results['instances'])
        if not self.with_ignored:
            instances = [instance for instance in instances if not instance['ignore']]
        results['gt_bboxes'] = instance_boxes(instances, results['geometry'])
        results['gt_bboxes_labels'] = np.array([i['label'] for i in instances], np.int64)
        results['gt_ignore_flags'] = np.array([i['ignore'] for i in instances], bool)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(with_ignored={self.with_ignored})'


@TRANSFORMS.register_module()
class LoadCandidates(BaseTransform):
    """Tell where a detector saw lesions, so that :class:`RandomCrop3D` cuts patches there.

    For scans without annotations, most patches of which would show nothing. Not from a paper.

    Required keys: ``scan_id``, ``geometry``. Added keys: ``candidates`` (M, 6) float32 voxel
    edges, ``candidate_scores`` (M,) float64; M is 0 for scans without a mark.

    Args:
        marks: File of marks with diameters, as ``mmdet3d-medical test --out`` writes it.
        score_thr: Lowest score of a candidate, at least 0. Defaults to 0.0.
        per_scan: Highest number of candidates of a scan, those with the best scores. Default: all.

    Raises:
        ValueError: If the file is not one of marks, does not state a diameter for each, or has no
            mark with a score above 0 that reaches ``score_thr``; if ``score_thr`` is below 0, or
            ``per_scan`` no integer above 0; when a scan is drawn whose id the file writes as
            another number, as a spreadsheet does.
    """

    def __init__(
        self, marks: str | os.PathLike, score_thr: float = 0.0, per_scan: int | None = None
    ) -> None:
        found = read_marks(marks)
        extents = found.extents()
        if not (extents > 0).all():
            raise ValueError(
                f'{marks}: the boxes of candidates need a diameter_mm above 0, or sizeX, sizeY and '
                'sizeZ, in every row: write it with mmdet3d-medical test --out'
            )
        if score_thr < 0:
            raise ValueError(f'score_thr must be at least 0, found {score_thr}')
        if per_scan is not None and (type(per_scan) is not int or per_scan < 1):
            raise ValueError(f'per_scan must be an integer of at least 1, found {per_scan!r}')
        usable = np.flatnonzero((found.scores > 0) & (found.scores >= score_thr))
        if not len(usable):
            raise ValueError(
                f'{marks}: no mark has a score above 0 that reaches score_thr='
                f'{score_thr}, the highest of {len(found.scores)} is '
                f'{max(found.scores, default=float("nan")):.3g}: lower score_thr'
            )
        self.marks = str(marks)
        self.score_thr = score_thr
        self.per_scan = per_scan
        self._rows: dict[str, list[int]] = {}
        for row in usable:
            self._rows.setdefault(found.scan_ids[row], []).append(row)
        for scan_id, rows in self._rows.items():
            best = sorted(rows, key=lambda row: -found.scores[row])[:per_scan]
            self._rows[scan_id] = sorted(best)
        self._found, self._extents = found, extents
        self._named = {*found.scan_ids}
        self._drawn = self._aimed = 0  # scans so far, and those of them with a candidate

    def transform(self, results: dict) -> dict:
        rows = self._rows.get(results['scan_id'], [])
        if results['scan_id'] not in self._named:
            check_spelling(self._named, [results['scan_id']], self.marks)
        self._watch(results['scan_id'], bool(rows))
        geometry = results['geometry']
        sizes = geometry.extents_from_world(self._extents[rows])
        boxes = geometry.world_to_box(self._found.centers[rows], sizes)
        results['candidates'] = boxes.astype(np.float32)
        results['candidate_scores'] = self._found.scores[rows]
        return results

    def _watch(self, scan_id: str, has_candidates: bool) -> None:
        """Warn once if the file seems to be of other scans: all patches would lie anywhere."""
        self._drawn += 1
        self._aimed += has_candidates
        if self._drawn == UNSEEN and not self._aimed:
            warnings.warn(
                f'{self.marks}: none of the first {UNSEEN} scans has a candidate, such as '
                f'{scan_id}; the file names scans such as {next(iter(self._rows))}. Are the '
                'marks of these scans?',
                stacklevel=2,
            )

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(marks={self.marks!r}, score_thr={self.score_thr}, '
            f'per_scan={self.per_scan})'
        )


def open_volume(path: str, geometry: VolumeGeometry, scan_id: str) -> np.memmap | CompressedVolume:
    """Open a converted volume (D, H, W) and check that it is the one described.

    Raises:
        FileNotFoundError: If the file is missing.
        UsageError: If it is compressed, and the package to read it is missing.
        ValueError: If it is unreadable, or its type or shape is not the expected one. Of a
            compressed volume, damaged voxels are told when they are read.
    """
    if not os.path.isfile(path):  # a pipe would wait for ever
        raise FileNotFoundError(f'scan {scan_id}: no volume at {path}, convert the data again')
    try:
        volume = storage_of(path).open(path)
    except ValueError as error:
        raise ValueError(
            f'scan {scan_id}: {error}: delete it and convert the data again'
        ) from error
    if volume.dtype != np.int16 or volume.shape != tuple(geometry.shape):
        raise ValueError(
            f'scan {scan_id}: {path} holds {volume.dtype} of shape {volume.shape}, '
            f'expected int16 of shape {tuple(geometry.shape)}: convert the data again'
        )
    return volume


def without_twins(instances: list[dict]) -> list[dict]:
    """Instances without the ignored ones in whose sphere a lesion has its center."""
    lesions = np.array([i['center'] for i in instances if not i['ignore']], float).reshape(-1, 3)
    return [i for i in instances if not i['ignore'] or not _holds_any(i, lesions)]


def _holds_any(instance: dict, points: np.ndarray) -> bool:
    distances = np.linalg.norm(points - np.asarray(instance['center']), axis=1)
    return bool((distances < instance['diameter'] / 2).any())


def instance_boxes(instances: list[dict], geometry: VolumeGeometry) -> np.ndarray:
    """Voxel boxes (N, 6) float32 of instances given by center and size in world millimeters."""
    centers = np.array([i['center'] for i in instances], float).reshape(-1, 3)
    sizes = np.array([i['size'] for i in instances], float).reshape(-1, 3)
    return geometry.world_to_box(centers, sizes).astype(np.float32)
