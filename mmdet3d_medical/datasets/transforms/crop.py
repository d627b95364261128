"""Patches of a volume."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform

from mmdet3d_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomCrop3D(BaseTransform):
    """Cut a patch, on a lesion or anywhere.

    After :class:`LoadCandidates` the candidates stand in for the lesions, each drawn with a chance
    proportional to its score, and annotations have no say in where the patch lies.

    A patch on a lesion holds the whole lesion (if it fits), displaced from the middle at random.
    Lesions of which less than ``min_visible`` lies in the patch become ignored, those wholly
    outside are dropped. Of a lesion larger than the patch, the most that the patch could show
    counts as the whole. Boxes are not clipped: a lesion keeps its size and place in the world.

    Required and changed keys: ``volume``, ``geometry``, ``gt_bboxes``, ``gt_bboxes_labels``,
    ``gt_ignore_flags``. Required too: ``rng``. Used where present: ``candidates``,
    ``candidate_scores``.

    Args:
        size: Patch (D, H, W) in voxels.
        lesion_prob: Fraction of patches centered on a lesion, where the scan has one; in [0, 1].
            Defaults to 0.5.
        jitter: How far the lesion may lie from the middle: 0 is the middle, 1 is touching the
            border of the patch. Defaults to 0.8.
        min_visible: Fraction of a box's volume, of the largest part of it that fits into the patch,
            that must lie inside for the lesion to count. From 0.5 on, the center of a box no
            larger than the patch is then inside too. Defaults to 0.5.
        pad_value: HU outside the volume. Defaults to -1024, air.
    """

    def __init__(
        self,
        size: Sequence[int],
        lesion_prob: float = 0.5,
        jitter: float = 0.8,
        min_visible: float = 0.5,
        pad_value: int = -1024,
    ) -> None:
        for name, value in dict(
            lesion_prob=lesion_prob, jitter=jitter, min_visible=min_visible
        ).items():
            if not 0 <= value <= 1:
                raise ValueError(f'{name} must be in [0, 1], found {value}')
        if len(size) != 3 or min(size) < 1:
            raise ValueError(f'size must be three positive voxel counts (D, H, W), found {size}')
        self.size = np.array(size)
        self.lesion_prob = lesion_prob
        self.jitter = jitter
        self.min_visible = min_visible
        self.pad_value = pad_value

    def transform(self, results: dict) -> dict:
        return self.crop(results, self.size)

    def crop(self, results: dict, size: np.ndarray) -> dict:
        """Cut a patch of the given size (3,) at a random place."""
        start = self.draw_start(results, size)
        results['volume'] = read_region(results['volume'], start, size, self.pad_value)
        results['geometry'] = results['geometry'].cropped(start, size)
        results['gt_bboxes'] = results['gt_bboxes'] - np.tile(start, 2).astype(np.float32)
        return select_visible(results, self.min_visible)

    def draw_start(self, results: dict, size: np.ndarray) -> np.ndarray:
        """Draw the first voxel (3,) of the patch; negative where the volume is smaller."""
        rng, shape = results['rng'], np.array(results['volume'].shape[1:])
        lowest, highest = np.minimum(shape - size, 0), np.maximum(shape - size, 0)
        boxes, chances = aims(results, shape)
        # Drawn in any case: with lesion_prob=0 the patch must not depend on the annotations.
        anywhere = rng.random() >= self.lesion_prob
        if anywhere or len(boxes) == 0:
            return rng.integers(lowest, highest + 1)
        box = boxes[rng.choice(len(boxes), p=chances)]
        return np.clip(start_around(box, size, self.jitter, rng), lowest, highest)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(size={self.size.tolist()}, '
            f'lesion_prob={self.lesion_prob}, jitter={self.jitter}, '
            f'min_visible={self.min_visible}, pad_value={self.pad_value})'
        )


@TRANSFORMS.register_module()
class RandomResizedCrop3D(RandomCrop3D):
    """Cut a larger or smaller patch and resize it: lesions at random scale, at no extra reading.

    The scan is magnified by a factor drawn log-uniformly, so that halving and doubling are
    equally likely. Keys as in :class:`RandomCrop3D`.

    Args:
        size: Patch (D, H, W) in voxels after resizing.
        scale_range: Smallest and largest magnification. Defaults to (0.8, 1.25).
        **kwargs: Arguments of :class:`RandomCrop3D`.
    """

    def __init__(
        self, size: Sequence[int], scale_range: Sequence[float] = (0.8, 1.25), **kwargs
    ) -> None:
        super().__init__(size, **kwargs)
        if not 0 < scale_range[0] <= scale_range[1]:
            raise ValueError(f'scale_range must be 0 < smallest <= largest, found {scale_range}')
        self.scale_range = tuple(scale_range)

    def transform(self, results: dict) -> dict:
        scale = np.exp(results['rng'].uniform(*np.log(self.scale_range)))
        region = np.maximum(np.rint(self.size / scale), 1).astype(int)
        results = self.crop(results, region)
        if np.array_equal(region, self.size):
            return results
        results['volume'] = resize(results['volume'], self.size)
        results['geometry'] = results['geometry'].zoomed(self.size)
        results['gt_bboxes'] = results['gt_bboxes'] * np.tile(self.size / region, 2).astype('f4')
        return results

    def __repr__(self) -> str:
        return super().__repr__()[:-1] + f', scale_range={self.scale_range})'


def start_around(
    box: np.ndarray, size: np.ndarray, jitter: float, rng: np.random.Generator
) -> np.ndarray:
    """First voxel (3,) of a patch with a box (6,) displaced from its middle.

    Args:
        box: Voxel edges.
        size: Of the patch (D, H, W).
        jitter: As in :class:`RandomCrop3D`; a box that does not fit stays in the middle.
        rng: Draws the displacement.
    """
    play = np.maximum(size - (box[3:] - box[:3]), 0) / 2 * jitter
    middle = (box[:3] + box[3:] - size) / 2
    return np.rint(middle + rng.uniform(-play, play)).astype(int)


def aims(results: dict, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Boxes (M, 6) with centers inside the volume to cut patches around, and their chances (M,).

    The candidates, if there is such a key, else the lesions that count, which are equally likely.
    """
    if 'candidates' not in results:
        boxes = results['gt_bboxes'][~results['gt_ignore_flags']]
        return boxes[_is_inside(boxes, shape)], None
    boxes, scores = results['candidates'], results['candidate_scores']
    inside = _is_inside(boxes, shape) & (scores > 0)
    return boxes[inside], scores[inside] / scores[inside].sum()


def _is_inside(boxes: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """(M,) bool: the center of the box lies in the volume."""
    centers = (boxes[:, :3] + boxes[:, 3:]) / 2
    return ((centers >= 0) & (centers < shape)).all(axis=1)


def read_region(
    volume: np.ndarray, start: np.ndarray, size: np.ndarray, pad_value: int
) -> np.ndarray:
    """Copy the region (C, *size) from ``start`` on, padded where it leaves the volume."""
    stop = np.minimum(start + size, volume.shape[1:])
    first = np.maximum(start, 0)
    source = volume[(slice(None), *map(slice, first, stop))]
    if np.array_equal(source.shape[1:], size):
        return np.array(source)
    region = np.full((volume.shape[0], *size), pad_value, volume.dtype)
    region[(slice(None), *map(slice, first - start, stop - start))] = source
    return region


def select_visible(results: dict, min_visible: float) -> dict:
    """Drop boxes outside the volume and mark those as ignored that are mostly outside.

    The visible part is measured against the largest that the volume could show of the box, or a
    lesion more than twice as large as a patch would never count.
    """
    boxes, shape = results['gt_bboxes'], results['volume'].shape[1:]
    extents = np.maximum(np.minimum(boxes[:, 3:], shape) - np.maximum(boxes[:, :3], 0), 0)
    visible = extents.prod(axis=1) / np.minimum(boxes[:, 3:] - boxes[:, :3], shape).prod(axis=1)
    keep = visible > 0
    results['gt_ignore_flags'] = (results['gt_ignore_flags'] | (visible < min_visible))[keep]
    results['gt_bboxes'] = boxes[keep]
    results['gt_bboxes_labels'] = results['gt_bboxes_labels'][keep]
    return results


def resize(volume: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Resize (C, D, H, W) trilinearly, edges on edges, to float32 of (C, *size)."""
    tensor = torch.from_numpy(volume.astype(np.float32))[None]
    return F.interpolate(tensor, size=size.tolist(), mode='trilinear')[0].numpy()
