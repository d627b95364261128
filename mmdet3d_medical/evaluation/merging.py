"""Marks of several models, of the folds of a cross-validation say, as one set of marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from mmdet3d_medical.structures import centers_sizes_to_corners, merge_boxes3d

from .marks import Marks


def merge_marks(tables: Sequence[Marks], method: str, iou_threshold: float, most: int) -> Marks:
    """Merge what several models found in the same scans.

    A mark stands for the box of its extents, else for the cube around its sphere, along the world's
    axes. Extents of merged marks are stated where every mark states its own.

    Args:
        tables: Of each model.
        method: 'nms' or 'wbc', see :func:`~mmdet3d_medical.structures.merge_boxes3d`.
        iou_threshold: In [0, 1]; marks whose cubes have a higher IoU are of one lesion.
        most: Marks to keep in each scan.

    Raises:
        ValueError: If a mark has no diameter, or a score that is no probability.
    """
    for number, table in enumerate(tables):
        _check(table, f'marks {number + 1} of {len(tables)}')
    scans = dict.fromkeys(scan for table in tables for scan in table.scan_ids)
    classes = sorted({name for table in tables for name in table.classes})
    rows: dict[str, list] = {scan: [] for scan in scans}
    for source, table in enumerate(tables):
        columns = (table.scan_ids, table.centers, table.extents(), table.scores, table.classes)
        for scan, center, extent, score, name in zip(*columns, strict=True):
            rows[scan].append((*center, *extent, score, classes.index(name), source))
    merged = Marks.from_rows(
        (scan, *mark[:3], classes[mark[3]], mark[4])
        for scan, values in rows.items()
        for mark in _merge(np.array(values), len(tables), method, iou_threshold, most)
    )
    if any(np.isnan(table.sizes).any() for table in tables):
        return merged._replace(sizes=np.full_like(merged.sizes, np.nan))
    return merged


def _merge(values: np.ndarray, num_sources: int, *options) -> Iterator[tuple]:
    """(center, score, diameter, class number, extents) of each merged mark of a scan."""
    values = torch.from_numpy(values)
    boxes = centers_sizes_to_corners(values[:, :3], values[:, 3:6])
    labels, sources = values[:, 7].long(), values[:, 8].long()
    boxes, scores, labels = merge_boxes3d(
        boxes, values[:, 6], labels, sources, num_sources, *options
    )
    centers, sizes = (boxes[:, :3] + boxes[:, 3:]) / 2, boxes[:, 3:] - boxes[:, :3]
    columns = (centers, scores, sizes.mean(dim=1), labels, sizes)
    yield from zip(*(column.tolist() for column in columns), strict=True)


def _check(table: Marks, where: str) -> None:
    sized = (table.extents() > 0).all(axis=1)
    if not sized.all():
        scan = table.scan_ids[int(np.argmin(sized))]
        raise ValueError(
            f'{where}: a mark in scan {scan} has no diameter, without which marks '
            'cannot be merged: expected the column diameter_mm with values > 0'
        )
    likely = (table.scores >= 0) & (table.scores <= 1)
    if not likely.all():
        raise ValueError(
            f'{where}: expected probabilities in [0, 1], found '
            f'{table.scores[int(np.argmin(likely))]:g}'
        )
