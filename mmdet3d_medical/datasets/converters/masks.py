"""Lesions from masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from mmdet3d_medical.structures import VolumeGeometry

from .image_io import label_boxes, read_labels

MODES = ('auto', 'unambiguous', 'components', 'values')
FAR_MM = 10.0  # parts of one lesion, drawn slice by slice say, are nearer to each other
SAME_PLACE = 0.1  # voxels
MIN_OVERLAP = 0.5  # of a mask and its scan, as a share of the smaller one
AMBIGUOUS = (
    'masks have a value in several places, so that it cannot be one lesion: each connected '
    'part is taken for one, and values for classes whose names are unknown; name them with '
    '--classes, or say what a lesion is with --instances'
)
OTHER_GRID = 'masks are on another grid than their scan: lesions lie where the mask says'
UNNAMED = 'masks have values that --classes does not name: they are no lesions'


class MaskLesions(NamedTuple):
    """What a mask holds.

    Attributes:
        instances: As in the index.
        notes: What the user should know, by title.
    """

    instances: list[dict]
    notes: dict[str, str]


def lesions_of_mask(
    path: str | Path,
    scan: VolumeGeometry | None = None,
    mode: str = 'auto',
    classes: Sequence[tuple[int, str]] = (),
) -> MaskLesions:
    """One instance, with its tight box, for each lesion of a mask.

    Args:
        path: An image whose voxels are 0 outside lesions.
        scan: Geometry of the scan, oriented as :func:`.image_io.read_image` does, to compare.
        mode: 'components': connected voxels that are not 0, also over corners, are one lesion.
            'values': the voxels of one value are one lesion. 'auto': components where there is one
            value; else values, unless one lies in places more than ``FAR_MM`` apart: then values
            are classes, each component of each is a lesion, and a note says so. 'unambiguous': as
            'auto', but such a mask is an error.
        classes: Value and name of each class. Each component of such a value is a lesion of the
            class, other values are none; ``mode`` plays no part.

    Raises:
        ValueError: Naming the mask, if it cannot be read, holds no labels, is not where the scan
            is, or can be understood in two ways.
    """
    labels = read_labels(path)
    geometry, notes = VolumeGeometry.from_sitk(labels), {}
    if scan is not None and not same_grid(geometry, scan, path):
        notes[OTHER_GRID] = f'{geometry.shape} voxels, the scan {scan.shape}'
    boxes, numbers, more = _boxes(labels, mode, classes, path)
    instances = _instances(boxes, numbers, geometry)
    if scan is not None:
        _check_inside(instances, scan, path)
    return MaskLesions(instances, notes | more)


def same_grid(mask: VolumeGeometry, scan: VolumeGeometry, path: str | Path) -> bool:
    """Whether a mask has the voxels of its scan.

    Raises:
        ValueError: If it has as many, but elsewhere: such masks were saved without their header;
            or if it has others, but hardly lies on the scan.
    """
    if sorted(mask.shape) != sorted(scan.shape):
        _check_overlap(mask, scan, path)
        return False
    same = mask.shape == scan.shape
    if same:
        corners = np.indices((2, 2, 2)).reshape(3, -1).T * (np.array(mask.shape) - 1)
        apart = np.abs(mask.index_to_world(corners) - scan.index_to_world(corners)).max()
        same = bool(apart <= SAME_PLACE * min(scan.spacing))
    if not same:
        raise ValueError(
            f'{path}: the mask has as many voxels as its scan, but they lie elsewhere: its origin '
            f'{_rounded(mask.origin)}, its spacing {_rounded(mask.spacing)} mm, those of the scan '
            f'{_rounded(scan.origin)} and {_rounded(scan.spacing)} mm. Save it with the header of '
            'the scan'
        )
    return True


def _check_overlap(mask: VolumeGeometry, scan: VolumeGeometry, path: str | Path) -> None:
    """Check that a mask lies on its scan, or around it."""
    share = max(_share_inside(mask, scan), _share_inside(scan, mask))
    if share < MIN_OVERLAP:
        raise ValueError(
            f'{path}: the mask lies beside its scan, {share:.0%} of it on it: its origin '
            f'{_rounded(mask.origin)}, that of the scan {_rounded(scan.origin)} mm: is it the mask '
            'of this scan?'
        )


def _share_inside(one: VolumeGeometry, other: VolumeGeometry) -> float:
    """Share of a volume that lies in another one, by 10 x 10 x 10 points of it."""
    points = (np.indices((10, 10, 10)).reshape(3, -1).T + 0.5) / 10 * one.shape - 0.5
    voxels = other.world_to_index(one.index_to_world(points)) + 0.5
    return float(((voxels >= 0) & (voxels <= other.shape)).all(axis=1).mean())


def _boxes(
    labels: sitk.Image, mode: str, classes: Sequence[tuple[int, str]], path: str | Path
) -> tuple[list[np.ndarray], list[int], dict[str, str]]:
    """Voxel boxes, class numbers and notes."""
    voxels, found = sitk.GetArrayViewFromImage(labels), label_boxes(labels)
    if classes:
        names = [value for value, _ in classes]
        parts = [
            (box, number)
            for number, value in enumerate(names)
            if value in found
            for box in _components(voxels, found[value], value)
        ]
        unnamed = sorted(set(found) - set(names))
        notes = {UNNAMED: ', '.join(map(str, unnamed))} if unnamed else {}
        return [box for box, _ in parts], [number for _, number in parts], notes
    if mode == 'components' or (mode != 'values' and len(found) == 1):
        boxes = list(label_boxes(sitk.ConnectedComponent(labels != 0, True)).values())
        return boxes, [0] * len(boxes), {}
    if mode == 'values' or not found:
        return list(found.values()), [0] * len(found), {}
    components = {value: _components(voxels, box, value) for value, box in found.items()}
    spacing = np.array(labels.GetSpacing())[::-1]
    far = [value for value, boxes in components.items() if _are_far(boxes, spacing)]
    if not far:
        return list(found.values()), [0] * len(found), {}
    where = f'value {far[0]} lies in {len(components[far[0]])} places'
    if mode == 'unambiguous':
        raise ValueError(
            f'{path}: {where}, so the values of this mask may be classes or lesions. Say '
            'which: --classes 1=NAME 2=NAME where values are classes, --instances values '
            'where each is a lesion, --instances components where they mean nothing'
        )
    boxes = [box for parts in components.values() for box in parts]
    return boxes, [0] * len(boxes), {AMBIGUOUS: where}


def _components(voxels: np.ndarray, box: np.ndarray, value: int) -> list[np.ndarray]:
    """Voxel boxes of the connected parts, also over corners, of a value within its box."""
    part = voxels[tuple(map(slice, box[:3], box[3:]))] == value
    labels, _ = ndimage.label(part, np.ones((3, 3, 3)))
    slices = ndimage.find_objects(labels)
    return [
        np.array([s.start for s in found] + [s.stop for s in found]) + np.tile(box[:3], 2)
        for found in slices
    ]


def _are_far(boxes: Sequence[np.ndarray], spacing: np.ndarray) -> bool:
    """Whether boxes fall into groups more than ``FAR_MM`` apart."""
    reached, left = [boxes[0]], list(boxes[1:])
    while reached and left:
        box = reached.pop()
        near = [_gap(box, other, spacing) <= FAR_MM for other in left]
        reached += [other for other, is_near in zip(left, near, strict=True) if is_near]
        left = [other for other, is_near in zip(left, near, strict=True) if not is_near]
    return bool(left)


def _gap(one: np.ndarray, other: np.ndarray, spacing: np.ndarray) -> float:
    """Distance of two voxel boxes in mm."""
    apart = np.maximum(np.maximum(one[:3] - other[3:], other[:3] - one[3:]), 0)
    return float(np.linalg.norm(apart * spacing))


def _instances(
    boxes: Sequence[np.ndarray], numbers: Sequence[int], geometry: VolumeGeometry
) -> list[dict]:
    centers, sizes = geometry.box_to_world(np.array(boxes, float).reshape(-1, 6))
    return [
        dict(
            center=center,
            size=size,
            diameter=math.prod(size) ** (1 / 3),
            label=number,
            ignore=False,
        )
        for center, size, number in zip(centers.tolist(), sizes.tolist(), numbers, strict=True)
    ]


def _check_inside(instances: Sequence[dict], scan: VolumeGeometry, path: str | Path) -> None:
    centers = np.array([instance['center'] for instance in instances]).reshape(-1, 3)
    voxels = scan.world_to_index(centers) + 0.5
    outside = ((voxels < 0) | (voxels > scan.shape)).any(axis=1)
    if outside.any():
        raise ValueError(
            f'{path}: {outside.sum()} of {len(outside)} lesions lie outside of the scan, '
            f'the first at {_rounded(centers[outside][0])} mm: is it the mask of this scan?'
        )


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(float(value), 4) for value in values]
